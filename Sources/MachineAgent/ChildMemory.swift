import CLinux
import Glibc

/// What the children have of memory that they share with nobody, by `/proc`: what counts towards the machine's limit and
/// cannot be reclaimed. A child is all processes of one uid.
struct ChildMemory: Equatable {
    private(set) var bytes: [uid_t: Int] = [:]

    init(bytes: [uid_t: Int]) {
        self.bytes = bytes
    }

    init(of uids: Range<uid_t>) {
        guard !uids.isEmpty, let proc = opendir("/proc") else { return }
        defer { closedir(proc) }
        while let name = clinux_next_name(proc).map({ String(cString: $0) }) {
            var info = stat()
            guard pid_t(name) != nil, fstatat(dirfd(proc), name, &info, 0) == 0, uids.contains(info.st_uid) else { continue }
            bytes[info.st_uid, default: 0] += Self.own("/proc/\(name)/statm")
        }
    }

    /// Whether all of them, with so many more like the largest, stay within `limit`.
    func fits(_ limit: Int, with more: Int) -> Bool {
        bytes.values.reduce(0, +) + more * (bytes.values.max() ?? 0) <= limit
    }

    /// Resident pages less those of files and shared memory; 0 of a process that is gone.
    private static func own(_ path: String) -> Int {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &text, text.count)
        let fields = text.prefix(max(0, count)).split(separator: 0x20).map { Int(String(decoding: $0, as: UTF8.self)) ?? 0 }
        return fields.count > 2 ? max(0, fields[1] - fields[2]) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}
