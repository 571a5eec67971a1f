import Glibc
import MachineAPI

/// A layer of Python packages and what it offers to start.
enum PythonLayer {
    /// Where packages lie in an image.
    static let packages = "/opt/mcp"
    /// Where an uploaded folder lies in an image; the working directory of its server.
    static let folder = "/srv/server"

    /// Environment of an image; nothing secret.
    static func environment(hasPackages: Bool) -> [String: String] {
        var environment = ["PYTHONDONTWRITEBYTECODE": "1", "PATH": "\(packages)/bin:/usr/local/bin:/usr/bin:/bin"]
        if hasPackages { environment["PYTHONPATH"] = packages }
        return environment
    }

    /// The commands of a package, or of all packages for nil, in a tree whose root is the image's.
    static func scripts(in tree: String, package: String?) -> [ConsoleScript] {
        let home = tree + packages
        var scripts: [ConsoleScript] = []
        for name in Files.names(home) where name.hasSuffix(".dist-info") {
            let project = name.dropLast(10).prefix { $0 != "-" }
            if let package, Requirement.normalized(project) != package { continue }
            let info = home + "/" + name
            if let bytes = Disk.read(info + "/entry_points.txt", limit: 1 << 20) {
                scripts += ConsoleScript.parse(String(decoding: bytes, as: UTF8.self))
            }
            guard let record = Disk.read(info + "/RECORD", limit: 16 << 20) else { continue }
            for program in programs(String(decoding: record, as: UTF8.self)) {
                guard !scripts.contains(where: { $0.name == program }), isExecutable(home + "/bin/" + program) else { continue }
                scripts.append(ConsoleScript(name: program, start: .program))
            }
        }
        return scripts
    }

    /// Names of files that a wheel put into the directory for programs, from the list of its files.
    static func programs(_ record: String) -> [String] {
        record.split(whereSeparator: \.isNewline).compactMap { line in
            var path = line.prefix { $0 != "," }
            while path.hasPrefix("../") { path = path.dropFirst(3) }
            guard path.hasPrefix("bin/") else { return nil }
            let name = path.dropFirst(4)
            return ConsoleScript.isPlain(name) ? String(name) : nil
        }
    }

    static func isExecutable(_ path: String) -> Bool {
        guard let status = Files.status(path), status.st_mode & S_IFMT == S_IFREG else { return false }
        return status.st_mode & 0o111 != 0
    }
}

/// Makes the command of an image out of what an admin gave, at build time: what cannot start is told now, not at the first call.
struct CommandResolver {
    /// Trees whose roots are the image's, the uppermost first.
    var trees: [String]
    var python: String
    /// The package that was asked for, or nil.
    var package: String?
    var hasFolder: Bool

    /// - Parameter given: the command as it was given, or nil.
    func resolve(_ given: [String]?, arguments: [String]) throws(ImageBuildFailure) -> [String] {
        guard let given, let first = given.first, !first.isEmpty else { return try standard() + arguments }
        return try resolve(first) + given.dropFirst() + arguments
    }

    private func standard() throws(ImageBuildFailure) -> [String] {
        if let package {
            let scripts = trees.flatMap { PythonLayer.scripts(in: $0, package: package) }
            return try ConsoleScript.choose(from: scripts, package: package).command(python: python)
        }
        for name in ["server.py", "main.py", "app.py", "__main__.py"] where find(PythonLayer.folder + "/" + name) {
            return ["/usr/bin/python3", PythonLayer.folder + "/" + name]
        }
        throw ImageBuildFailure(
            error: "no_command", message: "The folder holds no server.py, main.py or app.py.", hint: "Give the command that starts the server.")
    }

    private func resolve(_ word: String) throws(ImageBuildFailure) -> [String] {
        if word.hasPrefix("/") {
            // Looked for on the host, below the image's trees: `..` would leave them.
            guard Self.cleaned(word) == word, find(word, executable: true) else { throw missing(word) }
            return [word]
        }
        if word.contains("/") {
            let parts = word.split(separator: "/").filter { $0 != "." }
            guard hasFolder, !parts.contains("..") else { throw missing(word) }
            let path = PythonLayer.folder + "/" + parts.joined(separator: "/")
            guard find(path, executable: true) else { throw missing(word) }
            return [path]
        }
        if word == "python" || word == "python3" || word == "python" + python { return ["/usr/bin/python3"] }
        let scripts = trees.flatMap { PythonLayer.scripts(in: $0, package: nil) }
        if let script = scripts.first(where: { $0.name == word }) { return script.command(python: python) }
        for directory in ["/usr/local/bin", "/usr/bin"] where find(directory + "/" + word, executable: true) { return ["\(directory)/\(word)"] }
        throw missing(word)
    }

    /// Whether a path of the image is a file, followed through links of the image and never through the host's.
    private func find(_ path: String, executable: Bool = false, hops: Int = 8) -> Bool {
        for tree in trees {
            guard let status = Files.status(tree + path) else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG: return !executable || status.st_mode & 0o111 != 0
            case S_IFLNK where hops > 0:
                var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
                let count = readlink(tree + path, &buffer, buffer.count - 1)
                guard count > 0 else { return false }
                let target = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
                let absolute = target.hasPrefix("/") ? target : Disk.parent(path) + "/" + target
                guard let clean = Self.cleaned(absolute) else { return false }
                return find(clean, executable: executable, hops: hops - 1)
            default: return false
            }
        }
        return false
    }

    /// A path without `.` and `..`; nil when it would leave the root.
    private static func cleaned(_ path: String) -> String? {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." {
                guard parts.popLast() != nil else { return nil }
            } else {
                parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    private func missing(_ word: String) -> ImageBuildFailure {
        let scripts = trees.flatMap { PythonLayer.scripts(in: $0, package: package) }
        let list = ConsoleScript.list(scripts)
        return ImageBuildFailure(
            error: "no_console_script", message: "The image holds no program \(word.prefix(200)).",
            hint: ["node", "npx", "npm", "bun", "deno"].contains(word)
                ? "Images of folders and of PyPI packages have Python and git, and no Node; --npm PACKAGE hosts a package of npm."
                : list.isEmpty ? "Give a path in the folder, or python3 and a module." : "It brings: \(list).")
    }
}
