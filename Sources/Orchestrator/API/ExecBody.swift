import JSONText

/// `POST …/exec`, read and checked.
struct ExecRequest: Sendable, Equatable {
    /// Seconds, where nobody says.
    static let standard = 60
    static let longest = 600
    static let words = 256
    /// Bytes of all words together.
    static let wordBytes = 32 << 10
    static let inputBytes = 256 << 10

    var command: ExecCommand

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value = try JSONCoding.value(body)
        try BodyKeys.exec.check(value)
        command = ExecCommand(
            arguments: try Self.words(value), input: try Self.input(value), timeout: .seconds(try Self.seconds(value)))
    }

    private static func words(_ value: JSONValue) throws(MachineFailure) -> [String] {
        func said(_ key: String) -> JSONValue? {
            guard let member = value[key], !member.isNull, member.stringValue != "", member.arrayValue?.isEmpty != true else { return nil }
            return member
        }
        let (line, list) = (said("cmd"), said("command"))
        guard line == nil || list == nil else {
            throw MachineFailure(.badRequest, "invalid", "command and cmd say the same twice", field: "cmd", hint: "command alone")
        }
        var words: [String] = []
        if let list {
            for item in list.arrayValue ?? [.null] {
                guard let word = item.stringValue else {
                    throw MachineFailure(.badRequest, "invalid", "command is no list of strings", field: "command", hint: #"["ls", "/tmp"]"#)
                }
                words.append(word)
            }
        } else if let line {
            guard let text = line.stringValue, let split = CommandLineWords.split(text) else {
                throw MachineFailure(.badRequest, "invalid", "cmd is no command line: a quote is not closed", field: "cmd", hint: "command")
            }
            words = split
        }
        guard let program = words.first, !program.isEmpty else {
            throw MachineFailure(.badRequest, "invalid", "command is missing", field: "command", hint: #"["ls", "/tmp"]"#)
        }
        let bytes = words.reduce(0) { $0 + $1.utf8.count + 1 }
        guard words.count <= Self.words, bytes <= wordBytes else {
            throw MachineFailure(
                .invalid, "too_long", "command has more than \(Self.words) words or \(wordBytes >> 10) KiB", field: "command", hint: "give data in stdin")
        }
        guard !words.contains(where: { $0.utf8.contains(0) }) else {
            throw MachineFailure(.badRequest, "invalid", "command has a zero byte", field: "command")
        }
        return words
    }

    private static func input(_ value: JSONValue) throws(MachineFailure) -> [UInt8] {
        guard let member = value["stdin"], !member.isNull else { return [] }
        guard let text = member.stringValue else { throw MachineFailure(.badRequest, "invalid", "stdin is no string", field: "stdin") }
        guard text.utf8.count <= inputBytes else {
            throw MachineFailure(.invalid, "too_long", "stdin has more than \(inputBytes >> 10) KiB", field: "stdin")
        }
        return Array(text.utf8)
    }

    private static func seconds(_ value: JSONValue) throws(MachineFailure) -> Int {
        // Fly's client sends 0 for what nobody said.
        guard let member = value["timeout"], !member.isNull, member.intValue != 0 else { return standard }
        guard let seconds = member.intValue, (1...longest).contains(seconds) else {
            throw MachineFailure(.invalid, "invalid", "timeout is no number of seconds from 1 to \(longest)", field: "timeout", hint: "\(standard)")
        }
        return seconds
    }
}

/// The words of a command line as a shell would see them: quotes and backslashes, and nothing else of a shell's.
enum CommandLineWords {
    /// - Returns: nil where a quote is not closed.
    static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: [UInt8]?
        var quote: UInt8?
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                // In double quotes it is itself before all but these.
                if quote == UInt8(ascii: "\""), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { word?.append(UInt8(ascii: "\\")) }
                word = (word ?? []) + [byte]
                isEscaped = false
            } else if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "'") {
                isEscaped = true
            } else if let open = quote {
                if byte == open { quote = nil } else { word = (word ?? []) + [byte] }
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                quote = byte
                word = word ?? []
            } else if byte == 0x20 || (0x09...0x0D).contains(byte) {
                if let done = word { words.append(String(decoding: done, as: UTF8.self)) }
                word = nil
            } else {
                word = (word ?? []) + [byte]
            }
        }
        guard quote == nil, !isEscaped else { return nil }
        if let done = word { words.append(String(decoding: done, as: UTF8.self)) }
        return words
    }
}
