import Glibc

/// A machine's log on disk: one file of at most 1 MiB and the one before it.
struct LogFile {
    static let limit = 1 << 20

    let path: String
    private var descriptor: Int32 = -1
    private var size = 0

    init(path: String) { self.path = path }

    var older: String { path + ".1" }

    /// Appends whole lines; a log that cannot be written is lost rather than let it stop the machine.
    mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        if size + bytes.count > Self.limit && size > 0 {
            close()
            rename(path, older)
        }
        if descriptor < 0 { open() }
        guard descriptor >= 0, (try? Files.writeAll(descriptor, bytes, path)) != nil else { return }
        size += bytes.count
    }

    private mutating func open() {
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        var status = stat()
        size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    }

    mutating func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        size = 0
    }

    /// The last lines of a machine's log, from both files.
    static func tail(path: String, lines: Int) -> String {
        let file = LogFile(path: path)
        let text = (Files.read(file.older, limit: 2 * limit) ?? "") + (Files.read(path, limit: 2 * limit) ?? "")
        let all = text.split(separator: "\n", omittingEmptySubsequences: false)
        let whole = all.last?.isEmpty == true ? all.dropLast() : all[...]
        let wanted = whole.suffix(max(0, lines))
        return wanted.isEmpty ? "" : wanted.joined(separator: "\n") + "\n"
    }
}
