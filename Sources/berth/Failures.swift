import ArgumentParser
import Gateway
import MachineAPI
import Orchestrator
import Persistence
import Wire

extension Failure {
    /// Any error as one for people.
    init(of error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as StateError: self.init(error.message, hint: error.remedy ?? Self.logHint)
        case let error as OCIError: self.init(error.message, hint: error.hint.isEmpty ? Self.logHint : error.hint)
        case let error as ImageBuildFailure: self.init(error.message, hint: error.hint ?? Self.logHint)
        case let error as ProvisioningFailure: self.init(error.message, hint: error.hint ?? Self.logHint)
        case let error as MachineAPIError: self.init(error.message, hint: Self.logHint)
        case let error as ExchangeFailure:
            self.init("Berth ended before its answer did: \(error.reason)", hint: "berth status, then run the command again")
        default:
            let text = Berth.message(for: error)
            guard Berth.exitCode(for: error) == .validationFailure else {
                self.init(text.isEmpty ? "\(error)" : text, hint: Self.logHint)
                return
            }
            self.init(usage: text)
        }
        if hint == nil { hint = code == 64 ? "\(CommandPath.current) --help" : Self.logHint }
    }

    /// The parser's message: its suggestion becomes the remedy, else the command's help is.
    private init(usage text: String) {
        let first = text.split(separator: "\n").first.map(String.init) ?? "the command line cannot be read"
        let parts = first.split(separator: ". Did you mean ", maxSplits: 1).map(String.init)
        let hint = ForgottenTerminator.hint(parts[0]) ?? (parts.count == 2 ? "did you mean \(parts[1])" : "\(CommandPath.current) --help shows how")
        self.init(Sentence.asClause(parts[0]), hint: hint, code: 64)
    }

    private static let logHint = "berth status, and berth.log in the state directory, tell more"
}

/// Sentences of other parts, fitted into a line of ours.
enum Sentence {
    /// Without its capital, unless the first word is a name.
    static func asClause(_ text: String) -> String {
        guard let first = text.first, first.isUppercase, text.hasPrefix("A ") || text.dropFirst().first?.isLowercase == true else { return text }
        // "K is given twice": a variable's name, which is not ours to change.
        if text.split(separator: " ", maxSplits: 2).dropFirst().first == "is" { return text }
        return first.lowercased() + text.dropFirst()
    }
}

/// The command that the command line names, as `berth connector add`.
enum CommandPath {
    static var current: String {
        var path = "berth"
        var command: any ParsableCommand.Type = Berth.self
        for word in CommandLine.arguments.dropFirst() {
            guard let next = command.configuration.subcommands.first(where: { $0._commandName == word }) else { break }
            path += " " + word
            command = next
        }
        return path
    }
}

/// Text of others on its way to a terminal.
enum Printable {
    /// Without control characters, which could move the cursor or rewrite what was printed; line ends and tabs stay.
    static func text(_ text: String) -> String { filtered(text) { $0 == 9 || $0 == 10 } }

    /// The same in one line, and not longer than a person reads.
    static func line(_ text: String) -> String {
        let flat = text.contains("\n") ? text.split(whereSeparator: \.isNewline).joined(separator: " ") : text
        return String(filtered(flat) { _ in false }.prefix(1_000))
    }

    private static func filtered(_ text: String, keeps: (UInt32) -> Bool) -> String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            let value = scalar.value
            let isDirection = (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
            return (value < 0x20 || (0x7F...0x9F).contains(value) || isDirection) && !keeps(value)
        }
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(result)
    }
}
