import CLinux
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
        (directoryNames("/proc") ?? []).compactMap { name in
            guard let pid = pid_t(name), let fields = stat(of: name) else { return nil }
            return fields.count > 1 && fields[0] != "Z" && pid_t(fields[1]) == parent ? pid : nil
        }
    }

    /// The fields of a process's `stat`.
    private static func stat(of name: String) -> [Substring]? { contents("/proc/\(name)/stat").map(fields) }

    /// State, parent and so on: the command's name before them stands in parentheses and may hold anything, also one of these.
    private static func fields(_ stat: String) -> [Substring] {
        stat[(stat.lastIndex(of: ")").map { stat.index(after: $0) } ?? stat.startIndex)...].split(separator: " ")
    }

    /// Ids of this process's own children: many times faster than a look at everybody's, where the kernel keeps them.
    static func ownChildren() -> (alive: [pid_t], dead: [pid_t]) {
        guard let all = listed("self") else { return (children(of: getpid()), []) }
        let dead = Set(all.filter { contents("/proc/\($0)/stat").map { fields($0).first == "Z" } ?? true })
        return (all.filter { !dead.contains($0) }, all.filter(dead.contains))
    }

    /// The kernel's lists of a process's children, dead ones among them; nil where it keeps none.
    private static func listed(_ process: String) -> [pid_t]? {
        guard let threads = directoryNames("/proc/\(process)/task") else { return [] }
        let lists = threads.compactMap { contents("/proc/\(process)/task/\($0)/children", limit: 1 << 20) }
        guard !lists.isEmpty || threads.isEmpty || access("/proc/self/task/\(getpid())/children", R_OK) == 0 else { return nil }
        return lists.joined(separator: " ").split(separator: " ").compactMap { pid_t($0) }
    }

    /// `process` and all that descends from it. Looks at those processes alone, where the kernel keeps lists of children.
    ///
    /// - Parameter limit: how many are looked at; what they started is among those found.
    public static func tree(of process: pid_t, limit: Int = .max) -> [pid_t] {
        var (found, known) = ([process], Set([process]))
        var next = 0
        while next < min(found.count, limit) {
            found += (listed("\(found[next])") ?? children(of: found[next])).filter { known.insert($0).inserted }
            next += 1
        }
        return found
    }

    /// What `process` and all that descends from it have used of processors: of 256 processes at most, since an event loop waits for it.
    static func cpu(ofTree process: pid_t) -> TimeAmount {
        let tick = 1_000_000_000 / Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let used = tree(of: process, limit: 256).prefix(256).reduce(Int64(0)) { sum, process in
            guard let fields = stat(of: "\(process)"), fields.count > 12, let user = Int64(fields[11]), let kernel = Int64(fields[12]) else { return sum }
            return sum + user + kernel
        }
        return .nanoseconds(used * tick)
    }

    /// Kills all that descends from this process, which is a subreaper: for who ends at once and cannot wait for servers to.
    public static func killDescendants(within milliseconds: Int64) {
        let end = clinux_monotonic_milliseconds() + milliseconds
        while clinux_peek_dead_child() != -ECHILD, clinux_monotonic_milliseconds() < end {
            for process in tree(of: getpid()).dropFirst() { kill(process, SIGKILL) }
            var none = pollfd(fd: -1, events: 0, revents: 0)
            poll(&none, 1, 2)
        }
    }

    /// Bytes of a process in memory; nil when it is gone.
    public static func residentBytes(of process: pid_t) -> Int? {
        let fields = contents("/proc/\(process)/statm")?.split(separator: " ") ?? []
        return fields.count > 1 ? Int(fields[1]).map { $0 * Int(getpagesize()) } : nil
    }

    static func command(of process: pid_t) -> String {
        let words = (contents("/proc/\(process)/cmdline") ?? "").split(separator: "\0").joined(separator: " ")
        return words.count <= 120 ? words : words.prefix(119) + "…"
    }

    private static func contents(_ path: String, limit: Int = 1024) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var found: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(limit, 1 << 14))
        // A list comes in pages, whatever is asked for.
        while found.count < limit {
            let count = read(descriptor, &buffer, min(buffer.count, limit - found.count))
            guard count > 0 else { break }
            found += buffer.prefix(count)
        }
        return found.isEmpty ? nil : String(decoding: found, as: UTF8.self)
    }
}
