import Glibc

/// Files that a command leaves for others.
enum OutputFile {
    /// - Throws: `Failure` that names the option and the file.
    static func write(_ bytes: [UInt8], to path: String, option: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        let problem = descriptor < 0 ? errno : writeAll(bytes, to: descriptor)
        if descriptor >= 0 { close(descriptor) }
        guard problem == 0 else {
            throw Failure(
                "\(option) \(path) cannot be written: \(String(cString: strerror(problem)))", hint: "name a file in a folder that you can write to")
        }
    }
}
