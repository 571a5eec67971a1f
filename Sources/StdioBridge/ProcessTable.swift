import CLinux
import Glibc

/// A process that outlived the one that started it.
public struct LeftProcess: Sendable, Equatable {
    public var pid: pid_t
    /// Its command line, shortened.
    public var command: String
}

/// What `/proc` says of processes.
public enum ProcessTable {
    /// Ids of the direct children of `parent`, zombies left out.
    public static func children(of parent: pid_t) -> [pid_t] {
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

    /// `process` and all that descends from it.
    public static func tree(of process: pid_t) -> [pid_t] {
        var found = [process]
        var next = 0
        while next < found.count {
            found += children(of: found[next]).filter { !found.contains($0) }
            next += 1
        }
        return found
    }

    /// Bytes of a process in memory; nil when it is gone.
    public static func residentBytes(of process: pid_t) -> Int? {
        let fields = contents("/proc/\(process)/statm")?.split(separator: " ") ?? []
        return fields.count > 1 ? Int(fields[1]).map { $0 * Int(getpagesize()) } : nil
    }

    static func command(of process: pid_t) -> String {
        let words = (contents("/proc/\(process)/cmdline") ?? "").split(separator: "\0").joined(separator: " ")
        return String(words.prefix(120))
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
