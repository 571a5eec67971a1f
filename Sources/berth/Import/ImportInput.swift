import AuthorCommands
import ConfigImport
import Glibc

/// Where the configuration is read from.
enum ImportInput {
    /// A file, or standard input for `-`; no more of it than an import takes.
    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT != S_IFDIR else { throw unreadable(path, EISDIR) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= ImportFile.maximumBytes {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(path, errno) }
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        return bytes
    }

    private static func unreadable(_ path: String, _ code: Int32) -> Failure {
        Failure(
            "\(path) cannot be read: \(String(cString: strerror(code)))", hint: "give the client's configuration file, or - for standard input",
            code: 64)
    }

    /// What this host's disk holds.
    static let surroundings = Surroundings { path in
        var info = stat()
        guard stat(path, &info) == 0 else { return .nothing }
        if info.st_mode & S_IFMT == S_IFDIR { return .directory }
        guard info.st_mode & S_IFMT == S_IFREG, let beginning = beginning(of: path) else { return .nothing }
        if beginning.starts(with: [0x7F, 0x45, 0x4C, 0x46]) { return .program }
        guard beginning.starts(with: "#!".utf8) else { return .text(interpreter: "") }
        let line = String(decoding: beginning.dropFirst(2).prefix { $0 != 0x0A }, as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        // `#!/usr/bin/env -S python3`
        let own = words.first?.hasSuffix("/env") == true ? words.dropFirst().first { !$0.hasPrefix("-") } : words.first
        return .text(interpreter: own ?? "")
    }

    /// Folders that are not to go into an image, as they lie on the disk: a link, or `..`, may lead to more than the file's words say.
    static func refuseFolders(of plan: inout ImportPlan) {
        for (index, item) in plan.items.enumerated() {
            guard case .connector(let connector) = item.outcome, case .folder(let path, _) = connector.source,
                let resolved = realpath(path, nil)
            else { continue }
            defer { free(resolved) }
            let root = String(cString: resolved)
            if let problem = ImportPlan.problem(ofFolder: root) { plan.items[index].outcome = .refused(problem) }
            do {
                try FolderPlace.check(root, FolderAccess(caller: FolderPlace.caller, isNamedByFile: true))
            } catch {
                let failure = Failure(of: error)
                plan.items[index].outcome = .refused(Refusal(failure.message, failure.hint ?? ""))
            }
        }
    }

    private static func beginning(of path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}
