/// What the agent tells its own `child` mode over descriptor 3: the program and everything that may be secret. A list of
/// tagged, length-prefixed byte strings, because both ends are this binary.
struct LaunchRecord: Equatable {
    /// Bounds of one child; see `setrlimit(2)`.
    struct Limits: Equatable {
        var processes = 64
        var openFiles = 1024
        var fileBytes = 256 << 20
    }

    /// The agent's pid: a shim whose parent is another has outlived it.
    var parent: Int32 = 0
    var command: [String] = []
    /// `NAME=value`
    var environment: [String] = []
    var directory = "/"
    /// Path of the private directory to make.
    var home = ""
    /// Plain names in `home` with their content.
    var files: [(name: String, content: String)] = []
    var limits = Limits()

    static func == (a: LaunchRecord, b: LaunchRecord) -> Bool { a.encoded() == b.encoded() }

    private enum Tag: UInt8 {
        case parent = 1, argument, variable, directory, home, fileName, fileContent, processes, openFiles, fileBytes, end
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        func put(_ tag: Tag, _ text: String) {
            let text = Array(text.utf8)
            bytes.append(tag.rawValue)
            withUnsafeBytes(of: UInt32(text.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: text)
        }
        put(.parent, String(parent))
        for argument in command { put(.argument, argument) }
        for variable in environment { put(.variable, variable) }
        put(.directory, directory)
        put(.home, home)
        for file in files {
            put(.fileName, file.name)
            put(.fileContent, file.content)
        }
        put(.processes, String(limits.processes))
        put(.openFiles, String(limits.openFiles))
        put(.fileBytes, String(limits.fileBytes))
        put(.end, "")
        return bytes
    }

    init() {}

    /// `nil` for a record that was cut short.
    init?(decoding bytes: [UInt8]) {
        var rest = bytes[...]
        var ended = false
        var fileName = ""
        while !ended {
            guard rest.count >= 5, let first = rest.popFirst(), let tag = Tag(rawValue: first) else { return nil }
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= count else { return nil }
            let text = String(decoding: rest.prefix(count), as: UTF8.self)
            rest = rest.dropFirst(count)
            switch tag {
            case .parent: parent = Int32(text) ?? 0
            case .argument: command.append(text)
            case .variable: environment.append(text)
            case .directory: directory = text
            case .home: home = text
            case .fileName: fileName = text
            case .fileContent: files.append((fileName, text))
            case .processes: limits.processes = Int(text) ?? limits.processes
            case .openFiles: limits.openFiles = Int(text) ?? limits.openFiles
            case .fileBytes: limits.fileBytes = Int(text) ?? limits.fileBytes
            case .end: ended = true
            }
        }
        if command.isEmpty || !rest.isEmpty { return nil }
    }
}
