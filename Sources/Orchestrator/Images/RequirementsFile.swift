import MachineAPI

/// A folder's `requirements.txt`, looked at before anything is built: what would lead the build elsewhere than to the index is
/// refused by its line, since a build machine has no other way out and the option would be passed over, or fail in words of
/// its own.
enum RequirementsFile {
    static let limit = 1 << 20

    /// The refused options, and what Berth does instead.
    private static let options: [(names: [String], instead: String)] = [
        (
            ["-i", "--index-url", "--extra-index-url", "--no-index", "--trusted-host"],
            "Packages come from the one index that the operator set for this host."
        ),
        (["-f", "--find-links"], "Packages come from the index only; put files of your own into the folder."),
        (["-r", "--requirement"], "Write all requirements into one file."),
        (["-c", "--constraint"], "Write the versions into this file, or give them with --constraint."),
        (["-e", "--editable"], "The folder itself is in the image; name its dependencies only."),
    ]

    /// - Throws: the first line that is refused.
    static func check(_ bytes: [UInt8]) throws(ImageBuildFailure) {
        // A byte order mark is passed over by the installer, and would hide the option behind it.
        let text = String(decoding: bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...], as: UTF8.self)
        for (number, line) in lines(text) {
            guard line.hasPrefix("-") else { continue }
            let word = line.prefix { $0 != " " && $0 != "\t" && $0 != "=" }
            guard let option = options.first(where: { $0.names.contains { matches(word, $0) } }) else { continue }
            throw ImageBuildFailure(
                error: "bad_requirements", message: "Line \(number) of the requirements, \(line.prefix(200)), is not supported.",
                hint: option.instead)
        }
    }

    /// A short option may have its value attached: `-r/etc/x`, `-e.`.
    private static func matches(_ word: Substring, _ name: String) -> Bool {
        word == name || (name.utf8.count == 2 && word.hasPrefix(name))
    }

    /// Logical lines with the number of their first: a backslash at the end goes on with the next one, `#` after a blank or at
    /// the beginning is a comment.
    private static func lines(_ text: String) -> [(number: Int, text: String)] {
        var lines: [(number: Int, text: String)] = []
        var open: (number: Int, text: String)?
        for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let continues = raw.hasSuffix("\\")
            let text = (open?.text ?? "") + (continues ? raw.dropLast() : raw)
            let number = open?.number ?? index + 1
            if continues {
                open = (number, text)
            } else {
                lines.append((number, withoutComment(text).trimmingBlanks))
                open = nil
            }
        }
        if let open { lines.append((open.number, withoutComment(open.text).trimmingBlanks)) }
        return lines
    }

    private static func withoutComment(_ line: String) -> Substring {
        var previous: Character = " "
        for index in line.indices {
            if line[index] == "#", previous == " " || previous == "\t" { return line[..<index] }
            previous = line[index]
        }
        return line[...]
    }
}
