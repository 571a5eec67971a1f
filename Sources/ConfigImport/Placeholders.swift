/// A value that the file leaves to whoever runs the client.
public struct Placeholder: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case environment = "env"
        case input
    }
    public var kind: Kind
    public var name: String
    /// As the file writes it.
    public var text: String { kind == .input ? "${input:\(name)}" : "${env:\(name)}" }

    public init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }
}

/// `${env:X}`, `${input:x}`, `${X}` and `${X:-default}` in texts of a file. What is written otherwise stays as it is, but for names of the
/// client's own places, which nothing here can stand for.
struct Template: Equatable {
    enum Part: Equatable {
        case text(String)
        case value(Placeholder, standard: String?)
        /// A folder, file or setting of the client's.
        case foreign(String)
    }

    let parts: [Part]

    private static let foreign = [
        "workspaceFolder", "workspaceFolderBasename", "workspaceRoot", "userHome", "file", "fileDirname", "cwd", "execPath", "pathSeparator",
        "extensionPath",
        "CLAUDE_PLUGIN_ROOT", "CLAUDE_PROJECT_DIR",
    ]

    /// - Parameter own: variables that stand beside it in the file: a program of the server's may read those itself.
    init(_ text: String, own: Set<String> = []) {
        var parts: [Part] = []
        var plain = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${"), let end = rest[start.upperBound...].firstIndex(of: "}") {
            let inner = String(rest[start.upperBound..<end])
            plain += rest[..<start.lowerBound]
            if let part = Self.part(inner, own) {
                if !plain.isEmpty { parts.append(.text(plain)) }
                plain = ""
                parts.append(part)
            } else {
                plain += rest[start.lowerBound...end]
            }
            rest = rest[rest.index(after: end)...]
        }
        plain += rest
        if !plain.isEmpty { parts.append(.text(plain)) }
        self.parts = parts
    }

    private static func part(_ inner: String, _ own: Set<String>) -> Part? {
        if inner.hasPrefix("env:"), Variable.isName(inner.dropFirst(4)) {
            return .value(Placeholder(.environment, String(inner.dropFirst(4))), standard: nil)
        }
        if inner.hasPrefix("input:"), (7...70).contains(inner.utf8.count) {
            return .value(Placeholder(.input, String(inner.dropFirst(6))), standard: nil)
        }
        let name = inner.prefix { $0 != ":" }
        if foreign.contains(String(name)) || ["command", "config"].contains(name) || inner == "/" { return .foreign(String(inner.prefix(64))) }
        guard Variable.isName(name), !own.contains(String(name)) else { return nil }
        let behind = inner[name.endIndex...]
        if behind.isEmpty { return .value(Placeholder(.environment, String(name)), standard: nil) }
        return behind.hasPrefix(":-") ? .value(Placeholder(.environment, String(name)), standard: String(behind.dropFirst(2))) : nil
    }

    /// What must be known before it is a text.
    var needs: [Placeholder] {
        parts.compactMap { part in
            if case .value(let placeholder, nil) = part { return placeholder }
            return nil
        }
    }

    /// Bytes that the placeholders of one server may become together.
    static let room = 1 << 20

    /// What it says with values in the place of placeholders.
    ///
    /// - Parameters:
    ///   - open: placeholders whose values are no secrets.
    ///   - room: bytes that all texts of the server may still take; a short file can ask for one value ten thousand times.
    func filled(_ values: [Placeholder: String], open: Set<Placeholder> = [], room: inout Int) throws(Refusal) -> Recognition.Word {
        var text = ""
        var filledAt: Int?
        for part in parts {
            switch part {
            case .text(let own): text += own
            case .value(let placeholder, let standard):
                guard let value = values[placeholder] ?? standard else {
                    throw Refusal(
                        "it needs a value for \(placeholder.text)",
                        "--secret \(placeholder.name) asks for it, --secret \(placeholder.name)=@FILE reads a file")
                }
                room -= value.utf8.count
                guard room >= 0 else { throw Refusal("with the values of its placeholders it is over 1 MiB", "write each value once") }
                // A value of the file's own is no more than its text.
                if values[placeholder] != nil, !open.contains(placeholder) { filledAt = filledAt ?? text.utf8.count }
                text += value
            case .foreign(let name):
                throw Refusal("it names ${\(name)}, a place of the client's", "its machine has no folder of yours; write what it stands for")
            }
        }
        return Recognition.Word(text: text, filledAt: filledAt)
    }
}

extension ImportFile.Process {
    private var own: Set<String> { Set(environment.map(\.name)) }

    /// Placeholders without which it cannot be started, each once.
    public var needs: [Placeholder] {
        let texts = [command, directory ?? ""] + arguments
        let all = texts.flatMap { Template($0, own: own).needs } + environment.flatMap { Template($0.value).needs }
        var seen: Set<Placeholder> = []
        return all.filter { seen.insert($0).inserted }
    }

    func template(_ text: String) -> Template { Template(text, own: own) }
}
