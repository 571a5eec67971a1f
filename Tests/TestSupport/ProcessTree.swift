import Foundation

/// The processes below one.
public enum ProcessTree {
    /// Their ids; a process that ends meanwhile is left out.
    public static func below(_ root: pid_t) -> Set<pid_t> {
        var children: [pid_t: [pid_t]] = [:]
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(entry), let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { continue }
            // The name in parentheses may have blanks.
            let words = line[(line.lastIndex(of: ")") ?? line.startIndex)...].split(separator: " ")
            if words.count > 2, let parent = pid_t(words[2]) { children[parent, default: []].append(pid) }
        }
        var (found, open): (Set<pid_t>, [pid_t]) = ([], [root])
        while let next = open.popLast() {
            for child in children[next] ?? [] where found.insert(child).inserted { open.append(child) }
        }
        return found
    }

    /// Ends a process by force, and what it started with it, which would live on.
    public static func end(_ root: pid_t) {
        // Stopped, it starts nothing while we look.
        kill(root, SIGSTOP)
        for pid in [root] + below(root) { kill(pid, SIGKILL) }
    }

    /// Their resident memory, in MB.
    public static func megabytes(_ pids: Set<pid_t>) -> Int {
        let kilobytes = pids.reduce(0) { sum, pid in
            let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
            return sum + (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
        }
        return (kilobytes + 512) / 1_024
    }

    public static func named(_ name: String, _ pids: Set<pid_t>) -> Set<pid_t> {
        pids.filter { (try? String(contentsOfFile: "/proc/\($0)/comm", encoding: .utf8)) == name + "\n" }
    }

    public static func living(_ pids: Set<pid_t>) -> Set<pid_t> { pids.filter { kill($0, 0) == 0 } }
}
