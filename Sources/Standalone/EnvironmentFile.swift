/// A file of `NAME=value` lines, as `--env-file` takes it: blank lines, `#` comments, an optional `export `, quotes around a value.
///
/// Between single quotes everything stands for itself; between double quotes `\n`, `\t`, `\"`, `\\` and `\$` are what they are in a
/// shell. Nothing is expanded. Without quotes a value ends at ` #`.
public enum EnvironmentFile {
    /// - Parameter file: named in errors, which never show a value.
    /// - Returns: the variables in the file's order.
    public static func parse(_ bytes: [UInt8], file: String) throws(StandaloneInputError) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        for (number, line) in try TextLines.of(bytes, file: file) {
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            let place = "\(file):\(number)"
            var text = line[...]
            if text.hasPrefix("export "), !text.hasPrefix("export =") { text = TextLines.trimmed(text.dropFirst(7))[...] }
            guard let equals = text.firstIndex(of: "=") else {
                throw StandaloneInputError("\(place): not of the form NAME=VALUE", hint: "one variable a line; comments begin with #")
            }
            let name = TextLines.trimmed(text[..<equals])
            guard isName(name) else {
                throw StandaloneInputError("\(place): no name of a variable before =", hint: "letters, digits and _, as in API_KEY=…")
            }
            guard !result.contains(where: { $0.name == name }) else {
                throw StandaloneInputError("\(place): \(name) is given twice", hint: "give it once")
            }
            result.append((name, try value(TextLines.trimmed(text[text.index(after: equals)...]), place)))
        }
        return result
    }

    /// Letters, digits and `_`, not beginning with a digit.
    public static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A || (0x30...0x39).contains($0) || $0 == 0x5F }
    }

    private static func value(_ text: String, _ place: String) throws(StandaloneInputError) -> String {
        guard let quote = text.first, quote == "\"" || quote == "'" else {
            var end = text.startIndex
            var isAfterSpace = true
            for index in text.indices {
                if isAfterSpace, text[index] == "#" { break }
                isAfterSpace = text[index] == " " || text[index] == "\t"
                end = text.index(after: index)
            }
            return TextLines.trimmed(text[..<end])
        }
        var result = ""
        var rest = text.dropFirst()
        while let next = rest.popFirst() {
            if next == quote {
                let tail = TextLines.trimmed(rest)
                guard tail.isEmpty || tail.hasPrefix("#") else {
                    throw StandaloneInputError("\(place): something follows the closing quote", hint: "quote the whole value")
                }
                return result
            }
            guard next == "\\", quote == "\"" else {
                result.append(next)
                continue
            }
            switch rest.popFirst() {
            case "n": result.append("\n")
            case "t": result.append("\t")
            case "r": result.append("\r")
            case .some(let escaped) where "\"\\$`".contains(escaped): result.append(escaped)
            case .some(let other): result += "\\\(other)"
            case nil: break
            }
        }
        throw StandaloneInputError("\(place): the quote has no end", hint: "a value is one line")
    }
}
