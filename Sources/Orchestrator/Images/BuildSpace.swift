import Glibc
import MachineAPI

/// The folders of one build job: what it reads, and the one that it writes.
struct BuildSpace: Sendable {
    /// Ours: holds the others, and the tree that is made of the output.
    let directory: String
    /// Mounted at `/in`, read-only.
    let input: String
    /// Mounted at `/out`.
    let output: String

    /// Everything a build writes lies below `/out`: the rest of its machine is read-only or small.
    static let environment = [
        "HOME": "/out/home", "TMPDIR": "/out/tmp", "UV_CACHE_DIR": "/out/cache", "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_TIMEOUT": "60", "UV_CONCURRENT_DOWNLOADS": "16", "UV_CONCURRENT_BUILDS": "2", "NO_COLOR": "1",
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "SSL_CERT_FILE": "/in/ca.crt", "PYTHONDONTWRITEBYTECODE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:3128", "HTTP_PROXY": "http://127.0.0.1:3128", "https_proxy": "http://127.0.0.1:3128",
        "http_proxy": "http://127.0.0.1:3128",
    ]

    static func make(in building: String, name: String, files: [String: String], settings: ImageSettings) async throws -> BuildSpace {
        try await Disk.work {
            let space = BuildSpace(directory: building + "/" + name, input: building + "/\(name)/in", output: building + "/\(name)/out")
            for path in [space.directory, space.input, space.output] {
                guard mkdir(path, 0o755) == 0, chmod(path, 0o755) == 0 else { throw Disk.failure("mkdir", path, errno) }
            }
            for (name, text) in files { try place(space.input + "/" + name, Array(text.utf8)) }
            guard let certificates = Disk.readFollowing(settings.caBundle, limit: 8 << 20) else {
                throw ImageBuildFailure(
                    error: "internal", message: "\(settings.caBundle) cannot be read.", hint: "apt-get install ca-certificates")
            }
            try place(space.input + "/ca.crt", certificates)
            return space
        }
    }

    private static func place(_ path: String, _ bytes: [UInt8]) throws {
        try Files.write(path, bytes, mode: 0o644)
        guard chmod(path, 0o644) == 0 else { throw Disk.failure("chmod", path, errno) }
    }

    /// Passes on the lines of a job that are meant for people, and only what a terminal can bear.
    static func progress(_ step: @escaping @Sendable (String) -> Void) -> @Sendable (String) -> Void {
        { line in
            guard line.hasPrefix("berth: ") else { return }
            let text = line.dropFirst(7).unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }
            step(String(String(String.UnicodeScalarView(text)).prefix(200)))
        }
    }

    /// Whether a Python module lies in a tree that we made.
    static func holdsModules(_ directory: String, depth: Int) -> Bool {
        for name in Files.names(directory) {
            guard let status = Files.status(directory + "/" + name) else { continue }
            if status.st_mode.isRegularFile && name.hasSuffix(".py") { return true }
            if depth > 0, status.st_mode & S_IFMT == S_IFDIR, holdsModules(directory + "/" + name, depth: depth - 1) { return true }
        }
        return false
    }
}

extension mode_t {
    var isRegularFile: Bool { self & S_IFMT == S_IFREG }
}
