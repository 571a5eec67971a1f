import ArgumentParser
import AuthorCommands
import FoundationEssentials
import Glibc
import JSONText

/// `--secret`
enum Secrets {
    /// `K`, `K=` or `K=@FILE`. A value on the command line itself is refused: argv is readable by everybody.
    static func values(_ arguments: [String]) throws -> [String: String] {
        var result: [String: String] = [:]
        var inputLines: [String]?
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            guard result[name] == nil else { throw Failure("--secret \(name) is given twice", hint: "give it once", code: 64) }
            if parts.count == 2, parts[1].hasPrefix("@") {
                result[name] = try file(String(parts[1].dropFirst()), name)
            } else if parts.count == 2, !parts[1].isEmpty {
                throw Failure(
                    "--secret \(name)=… would show the secret in the process list",
                    hint: "--secret \(name) asks for it, --secret \(name)=@FILE reads a file", code: 64)
            } else if isatty(0) == 1 {
                result[name] = try ask(name)
            } else {
                // One line of standard input for each secret, in order.
                if inputLines == nil { inputLines = try standardInput() }
                guard let line = inputLines?.first else {
                    throw Failure("standard input holds no value for --secret \(name)", hint: "one line for each --secret, in order", code: 64)
                }
                inputLines?.removeFirst()
                result[name] = line
            }
            if result[name]?.isEmpty != false { throw Failure("the value of \(name) is empty", hint: "give a value", code: 64) }
            if let value = result[name], value.utf8.count < shortest {
                Output.note("warning: \(name) has fewer than \(shortest) bytes: too few to be masked where a server repeats it")
            }
        }
        if let left = inputLines?.count, left > 0 {
            let more = Count.text(left, "more line")
            throw Failure("standard input holds \(more) than there are secrets", hint: "one line for each --secret", code: 64)
        }
        return result
    }

    /// Shorter values are not looked for in logs and audit rows: they would be found everywhere.
    private static let shortest = 4

    private static func file(_ path: String, _ name: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure("the file of --secret \(name) cannot be read: \(path)", hint: "give a path that this user can read", code: 64)
        }
        guard data.count <= 64 << 10 else { throw Failure("the value of \(name) is over 64 KiB", hint: "name the right file", code: 64) }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw Failure("the value of \(name) is not UTF-8", hint: "encode it, for example in base64", code: 64)
        }
        // One line end, of either kind: an editor's, not the secret's.
        return text.last?.isNewline == true ? String(text.dropLast()) : text
    }

    private static func standardInput() throws -> [String] {
        var lines: [String] = []
        while let line = readLine(strippingNewline: true) {
            lines.append(line)
            guard lines.count <= 64 else { throw Failure("standard input holds more than 64 lines", code: 64) }
        }
        return lines
    }

    /// For the signal handler only.
    nonisolated(unsafe) private static var shown = termios()

    /// On the terminal, without showing what is typed.
    static func ask(_ name: String) throws -> String {
        tcgetattr(0, &shown)
        var silent = shown
        silent.c_lflag &= ~UInt32(ECHO)
        // Somebody who thinks better of it must not be left with a terminal that does not echo.
        let previous = signal(SIGINT) { _ in
            tcsetattr(0, TCSANOW, &Secrets.shown)
            _exit(130)
        }
        tcsetattr(0, TCSAFLUSH, &silent)
        defer {
            tcsetattr(0, TCSAFLUSH, &shown)
            signal(SIGINT, previous)
            Output.error("")
        }
        Output.prompt("\(name): ")
        return readLine(strippingNewline: true) ?? ""
    }
}
