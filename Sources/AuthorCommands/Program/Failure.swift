import ArgumentParser
import JSONText
import Standalone

/// What ends a command: one line for people, its remedy, an exit code.
package struct Failure: Error {
    /// What is wrong.
    package var message: String
    /// The same for people, where a line has no room for all of it.
    var summary: String?
    /// What to do about it.
    package var hint: String?
    /// The exit code: 64 for what was typed wrongly, 70 for what this host refuses, else 1.
    package var code: Int32
    /// A program that asked for JSON has heard of it.
    var isTold: Bool

    /// - Parameter isTold: a program that asked for JSON has heard of it.
    package init(_ message: String, hint: String? = nil, code: Int32 = 1, isTold: Bool = false) {
        self.message = message
        self.hint = hint
        self.code = code
        self.isTold = isTold
    }

    /// What is wrong and what to do about it, in one line that a terminal can bear.
    package var line: String {
        let text = Printable.line(summary ?? message)
        return (text.hasSuffix(".") && !text.hasSuffix("..") ? String(text.dropLast()) : text) + (hint.map { " — " + Printable.line($0) } ?? "")
    }
}

/// An error of another part that can be told to people.
package protocol Explained: Error {
    /// The same for people.
    var failure: Failure { get }
}

extension Failure {
    /// Any error as one for people.
    package init(of error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as any Explained: self = error.failure
        default:
            let text = Program.root.message(for: error)
            guard Program.root.exitCode(for: error) == .validationFailure else {
                self.init(text.isEmpty ? "\(error)" : text)
                break
            }
            self.init(usage: text)
        }
        if hint == nil { hint = code == 64 ? "\(CommandPath.current) --help" : Program.root.lastHint }
    }

    /// The parser's message: its suggestion becomes the remedy, else the command's help is.
    private init(usage text: String) {
        let first = text.split(separator: "\n").first.map(String.init) ?? "the command line cannot be read"
        let parts = first.split(separator: ". Did you mean ", maxSplits: 1).map(String.init)
        let hint =
            ForgottenTerminator.hint(parts[0], Array(CommandLine.arguments.dropFirst()), under: Program.root)
            ?? (parts.count == 2 ? "did you mean \(parts[1])" : "\(CommandPath.current) --help shows how")
        self.init(Sentence.asClause(parts[0]), hint: hint, code: 64)
    }
}

extension StandaloneInputError: Explained {
    package var failure: Failure { Failure(message, hint: hint, code: 64) }
}
