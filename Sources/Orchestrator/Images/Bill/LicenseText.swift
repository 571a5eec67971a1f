/// What a package's metadata says of its licence, as a bill of materials may carry it.
enum LicenseText {
    /// What a field for an SPDX expression holds; a name where it is none.
    static func expression(_ text: String) -> BillOfMaterials.License? {
        guard let text = plain(text) else { return nil }
        return isExpression(text) ? .expression(text) : .named(text)
    }

    /// What a field without a grammar holds: a name, and nothing where it is a whole licence.
    static func named(_ text: String) -> BillOfMaterials.License? {
        guard let text = plain(text), text.uppercased() != "UNKNOWN" else { return nil }
        return .named(text)
    }

    private static func plain(_ text: String) -> String? {
        let text = text.trimmingBlanks
        guard !text.isEmpty, text.utf8.count <= 200, text.unicodeScalars.allSatisfy({ !$0.properties.isDefaultIgnorableCodePoint && $0.value >= 0x20 && $0.value != 0x7f })
        else { return nil }
        return text
    }

    /// `MIT`, `(MIT OR Apache-2.0)`, `GPL-2.0-only WITH x`: identifiers with operators between them, as many brackets open as closed.
    private static func isExpression(_ text: String) -> Bool {
        var (depth, wantsName) = (0, true)
        let spaced = text.reduce(into: "") { out, character in
            if character == "(" || character == ")" { out += " \(character) " } else { out.append(character) }
        }
        for word in spaced.split(separator: " ") {
            switch word {
            case "(":
                guard wantsName else { return false }
                depth += 1
            case ")":
                guard !wantsName, depth > 0 else { return false }
                depth -= 1
            case "AND", "OR", "WITH":
                guard !wantsName else { return false }
                wantsName = true
            default:
                guard wantsName, word.utf8.allSatisfy({ $0.isASCIILetterOrDigit || ".-+:".utf8.contains($0) }) else { return false }
                wantsName = false
            }
        }
        return depth == 0 && !wantsName
    }
}
