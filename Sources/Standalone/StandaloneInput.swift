import Glibc

/// What is wrong with something that an author wrote for `berth bridge`: a file, or an option's value.
public struct StandaloneInputError: Error, Sendable, Equatable {
    /// One line, without any value that may be a secret.
    public var message: String
    public var hint: String

    public init(_ message: String, hint: String) {
        self.message = message
        self.hint = hint
    }
}

/// Files as lines, for the small formats of `berth bridge`.
enum TextLines {
    /// The lines with their numbers, from 1, without white space at either end. A byte order mark is no part of the first.
    ///
    /// - Parameter file: named in errors.
    static func of(_ bytes: [UInt8], file: String) throws(StandaloneInputError) -> [(number: Int, text: String)] {
        let bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
        var lines: [(number: Int, text: String)] = []
        for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            guard let text = String(validating: line, as: UTF8.self), !line.contains(0) else {
                throw StandaloneInputError("\(file):\(index + 1): not UTF-8 text", hint: "name the right file")
            }
            lines.append((index + 1, trimmed(text)))
        }
        return lines
    }

    static func trimmed(_ text: some StringProtocol) -> String {
        let isSpace: (Unicode.Scalar) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        var rest = Substring(text).unicodeScalars
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(Substring(rest))
    }
}
