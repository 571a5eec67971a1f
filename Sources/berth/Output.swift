import ArgumentParser
import Glibc
import JSONText
import MachineAPI

/// What ends a command: one line for people, its remedy, an exit code.
struct Failure: Error {
    var message: String
    var hint: String?
    var code: Int32
    /// A program that asked for JSON has heard of it.
    var isTold: Bool

    init(_ message: String, hint: String? = nil, code: Int32 = 1, isTold: Bool = false) {
        self.message = message
        self.hint = hint
        self.code = code
        self.isTold = isTold
    }

    /// What is wrong and what to do about it, in one line that a terminal can bear.
    var line: String {
        let text = Printable.line(message)
        return (text.hasSuffix(".") && !text.hasSuffix("..") ? String(text.dropLast()) : text) + (hint.map { " — " + Printable.line($0) } ?? "")
    }
}

/// Where the lines for people and programs go.
enum Output {
    static func line(_ text: String = "") { write(Printable.text(text) + "\n", to: 1) }
    static func json(_ value: JSONValue) { write(value.text + "\n", to: 1) }
    /// JSON text as it came, and a newline.
    static func raw(_ bytes: [UInt8]) { write(bytes + [0x0A], to: 1) }
    static func error(_ text: String) { write(Printable.text(text) + "\n", to: 2) }
    /// Without a newline, for a question.
    static func prompt(_ text: String) { write(text, to: 2) }

    /// Prints the error in one line and ends the process.
    static func end(with error: any Error) -> Never {
        if let exitCode = error as? ExitCode { exit(exitCode.rawValue) }
        // Help and version, which the parser throws too.
        if Berth.exitCode(for: error) == .success { Berth.exit(withError: error) }
        let failure = Failure(of: error)
        tellSupervisor(failure.line)
        if JSONOption.isGiven && !failure.isTold {
            json(.record(("event", "failed"), ("message", .string(failure.message)), ("hint", failure.hint.map { .string($0) })))
        }
        Output.error("berth: " + failure.line)
        exit(failure.code)
    }

    /// A process that was started by the supervisor says why it ends on its standard output, a pipe to it.
    private static func tellSupervisor(_ message: String) {
        let role = CommandLine.arguments.dropFirst().first
        if role == "orchestrator" || role == "gateway" { line(message) }
    }

    /// Columns padded to their widest cell.
    static func table(_ header: [String], _ rows: [[String]]) {
        let all = [header] + rows.map { $0.map(Printable.line) }
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        for row in all {
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }
            line(cells.joined(separator: "  "))
        }
    }

    /// Whether somebody still reads standard output; a pipe's reader may have gone, as `head` does.
    static var isRead: Bool {
        var one = pollfd(fd: 1, events: 0, revents: 0)
        return poll(&one, 1, 0) <= 0 || one.revents & Int16(POLLERR | POLLHUP) == 0
    }

    private static func write(_ text: String, to descriptor: Int32) { write(Array(text.utf8), to: descriptor) }

    private static func write(_ all: [UInt8], to descriptor: Int32) {
        var bytes = all[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

extension String {
    func padded(to width: Int) -> String { count < width ? self + String(repeating: " ", count: width - count) : self }
}

/// A number and what it counts.
enum Count {
    static func text(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

/// "did you mean"
enum Suggestion {
    static func text(for word: String, among names: [String]) -> String? {
        Nearest.name(to: word, among: names).map { "did you mean '\($0)'?" }
    }
}
