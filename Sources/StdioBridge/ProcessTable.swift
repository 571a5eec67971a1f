import CLinux
import Glibc

/// What `/proc` says of processes.
enum ProcessTable {
    /// Ids of the direct children of `parent`, zombies left out.
    static func children(of parent: pid_t) -> [pid_t] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [pid_t] = []
        while let name = clinux_next_name(directory).map({ String(cString: $0) }) {
            guard let pid = pid_t(name), let stat = contents("/proc/\(name)/stat") else { continue }
            // The command's name stands in parentheses and may hold anything, so fields are counted after the last one.
            let fields = stat[(stat.lastIndex(of: ")").map { stat.index(after: $0) } ?? stat.startIndex)...].split(separator: " ")
            if fields.count > 1, fields[0] != "Z", pid_t(fields[1]) == parent { found.append(pid) }
        }
        return found
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
}
