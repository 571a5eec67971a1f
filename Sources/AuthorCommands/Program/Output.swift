import ArgumentParser
import Glibc
import JSONText

/// Where the lines for people and programs go.
package enum Output {
    /// A line on standard output, for people.
    package static func line(_ text: String = "") { write(Printable.text(text) + "\n", to: 1) }
    /// A line on standard output, for programs.
    package static func json(_ value: JSONValue) { write(value.text + "\n", to: 1) }
    /// JSON text as it came, and a newline.
    package static func raw(_ bytes: [UInt8]) { write(bytes + [0x0A], to: 1) }
    /// A line on standard error.
    package static func error(_ text: String) { write(Printable.text(text) + "\n", to: 2) }
    /// A line of the program's own on standard error, which begins with its name.
    package static func note(_ text: String) { error(named(text)) }
    /// The same line, for who writes it himself.
    static func named(_ text: String) -> String { "\(Program.name): " + text }
    /// Without a newline, for a question.
    package static func prompt(_ text: String) { write(text, to: 2) }

    /// Prints the error in one line and ends the process.
    package static func end(with error: any Error) -> Never {
        if let exitCode = error as? ExitCode { exit(exitCode.rawValue) }
        // Help and version, which the parser throws too.
        if Program.root.exitCode(for: error) == .success { Program.root.exit(withError: error) }
        let failure = Failure(of: error)
        Program.root.willEnd(failure.line)
        if JSONOption.isGiven && !failure.isTold {
            json(.record(("event", "failed"), ("message", .string(failure.message)), ("hint", failure.hint.map { .string($0) })))
        }
        note(failure.line)
        exit(failure.code)
    }

    /// Columns padded to their widest cell.
    package static func table(_ header: [String], _ rows: [[String]]) {
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
    package static var isRead: Bool {
        var one = pollfd(fd: 1, events: 0, revents: 0)
        return poll(&one, 1, 0) <= 0 || one.revents & Int16(POLLERR | POLLHUP) == 0
    }

    private static func write(_ text: String, to descriptor: Int32) { write(Array(text.utf8), to: descriptor) }

    /// There is nobody to tell that it failed.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) { _ = writeAll(bytes, to: descriptor) }
}
