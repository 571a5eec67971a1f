import JSONText

/// A word of the command line that is to be a JSON object.
enum TypedJSON {
    /// - Parameters:
    ///   - what: what it is, with its verb: `the arguments are`.
    ///   - example: one that would do.
    static func object(_ text: String, what: String, example: String) throws -> JSONObject {
        let hint = "for example " + example
        do throws(ScanError) {
            guard let object = try JSONValue(parsing: text).objectValue else { throw ScanError(.notAnObject, at: 0) }
            return object
        } catch where error.reason != .notAnObject {
            let bytes = Array(text.utf8)
            let (line, column) = ConfigEdit.place(error.offset, in: bytes)
            let place = "\(line > 1 ? "line \(line), " : "")column \(column): \(error.reason.rawValue)"
            // `{a: 1}`, as JavaScript has it, or a shell that has taken the quotes.
            let isKey = bytes.prefix(error.offset).last { $0 != 0x20 } == UInt8(ascii: "{")
            let isBareKey = isKey && bytes.indices.contains(error.offset) && isLetter(bytes[error.offset])
            throw Failure("\(what) no JSON object: \(place)", hint: isBareKey ? "keys stand in double quotes, \(hint)" : hint, code: 64)
        } catch {
            throw Failure("\(what) no JSON object", hint: hint, code: 64)
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) || "_'".utf8.contains(byte) }
}
