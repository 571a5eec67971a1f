import Glibc
import NIOCore

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
        var found: [pid_t] = []
        for name in directoryNames("/proc") ?? [] {
            guard let pid = pid_t(name), let fields = stat(of: name) else { continue }
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

    /// What every process has used of processors, and which process each is of.
    struct CPU {
        fileprivate var used: [pid_t: TimeAmount] = [:]
        fileprivate var children: [pid_t: [pid_t]] = [:]

        /// By `process` and all that descends from it.
        func used(by process: pid_t) -> TimeAmount {
            (children[process] ?? []).reduce(used[process] ?? .zero) { $0 + used(by: $1) }
        }
    }

    static func cpu() -> CPU {
        var table = CPU()
        let tick = 1_000_000_000 / Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        for name in directoryNames("/proc") ?? [] {
            guard let pid = pid_t(name), let fields = stat(of: name), fields.count > 12, let parent = pid_t(fields[1]), let user = Int64(fields[11]),
                let kernel = Int64(fields[12])
            else { continue }
            table.used[pid] = .nanoseconds((user + kernel) * tick)
            table.children[parent, default: []].append(pid)
        }
        return table
    }

    /// The fields of a process's `stat` from its state on: the command's name before them stands in parentheses and may hold anything.
    private static func stat(of name: String) -> [Substring]? {
        guard let stat = contents("/proc/\(name)/stat") else { return nil }
        return stat[(stat.lastIndex(of: ")").map { stat.index(after: $0) } ?? stat.startIndex)...].split(separator: " ")
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
