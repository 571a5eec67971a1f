import ArgumentParser
import FoundationEssentials
import Glibc

/// `--env` and `--secret`
enum Variables {
    static func plain(_ pairs: [String]) throws -> [String: String] {
        var result: [String: String] = [:]
        for pair in pairs {
            guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                throw Failure("--env '\(pair.prefix(64))' is not of the form NAME=VALUE", hint: "for example --env LOG_LEVEL=info", code: 64)
            }
            let name = String(pair[..<equals])
            if soundsSecret(name) {
                Output.error("berth: warning: \(name) sounds like a secret and --env is kept in clear — use --secret \(name)")
            }
            result[name] = String(pair[pair.index(after: equals)...])
        }
        return result
    }

    /// `K`, `K=` or `K=@FILE`. A value on the command line itself is refused: argv is readable by everybody.
    static func secrets(_ arguments: [String]) throws -> [String: String] {
        var result: [String: String] = [:]
        var inputLines: [String]?
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            if parts.count == 2, parts[1].hasPrefix("@") {
                result[name] = try file(String(parts[1].dropFirst()), name)
            } else if parts.count == 2, !parts[1].isEmpty {
                throw Failure(
                    "--secret \(name)=… would show the secret in the process list", hint: "--secret \(name) asks for it, --secret \(name)=@FILE reads a file",
                    code: 64)
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
        }
        return result
    }

    static func soundsSecret(_ name: String) -> Bool {
        let upper = name.uppercased()
        return ["TOKEN", "KEY", "PASSWORD", "PASSWD", "SECRET", "CREDENTIAL"].contains { upper.contains($0) }
    }

    private static func file(_ path: String, _ name: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure("the file of --secret \(name) cannot be read: \(path)", hint: "give a path that this user can read", code: 64)
        }
        guard data.count <= 64 << 10 else { throw Failure("the value of \(name) is over 64 KiB", hint: "name the right file", code: 64) }
        guard let text = String(bytes: data, encoding: .utf8) else { throw Failure("the value of \(name) is not UTF-8", hint: "encode it, for example in base64", code: 64) }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    private static func standardInput() throws -> [String] {
        var lines: [String] = []
        while let line = readLine(strippingNewline: true) {
            lines.append(line)
            guard lines.count <= 64 else { throw Failure("standard input holds more than 64 lines", code: 64) }
        }
        return lines
    }

    private static func ask(_ name: String) throws -> String {
        var terminal = termios()
        tcgetattr(0, &terminal)
        var silent = terminal
        silent.c_lflag &= ~UInt32(ECHO)
        tcsetattr(0, TCSAFLUSH, &silent)
        defer {
            tcsetattr(0, TCSAFLUSH, &terminal)
            Output.error("")
        }
        Output.prompt("\(name): ")
        return readLine(strippingNewline: true) ?? ""
    }
}

/// A name as one segment of a URL's path.
enum URLPath {
    static func segment(_ name: String) -> String {
        var result = ""
        for byte in name.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95: result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                result += "%" + (hex.count == 1 ? "0" + hex : hex)
            }
        }
        return result
    }
}
