import Glibc

/// Files that a command leaves for others.
enum OutputFile {
    /// What stands for standard output.
    static let standardOutput = "-"

    /// - Throws: `Failure` that names the option and the file.
    static func write(_ bytes: [UInt8], to path: String, option: String) throws {
        let descriptor = path == standardOutput ? dup(1) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        let problem = descriptor < 0 ? errno : writeAll(bytes, to: descriptor)
        if descriptor >= 0 { close(descriptor) }
        guard problem == 0 else { throw failure(path, option, problem) }
    }

    /// Whether it could be written, before there is anything to write.
    static func check(_ path: String, option: String) throws {
        guard path != standardOutput else { return }
        let wasThere = access(path, F_OK) == 0
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else {
            // A pipe that nobody reads yet.
            if errno == ENXIO { return }
            throw failure(path, option, errno)
        }
        close(descriptor)
        if !wasThere { unlink(path) }
    }

    private static func failure(_ path: String, _ option: String, _ problem: Int32) -> Failure {
        Failure(
            "\(option) \(path) cannot be written: \(String(cString: strerror(problem)))",
            hint: problem == ENOSPC ? "make room on its disk" : "name a file in a folder that you can write to")
    }
}
