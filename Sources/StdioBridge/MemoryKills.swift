import Glibc
import Synchronization

/// How many processes of a control group the kernel has ended for want of memory, read from a descriptor of the group's own file
/// (`memory.events`, or `memory.oom_control` of version 1), and which of ours were among them.
///
/// The kernel counts before it kills, so whoever is found dead by SIGKILL has been counted already.
public final class MemoryKills: Sendable {
    private let descriptor: Int32
    /// Of those that were counted, how many have been told of somebody.
    private let claimed: Mutex<Int>

    /// - Parameter descriptor: stays open for the life of the process. Of a file that tells no such number nothing is ever claimed.
    public init(descriptor: Int32) {
        self.descriptor = descriptor
        claimed = Mutex(Self.count(descriptor))
    }

    /// Whether a process that SIGKILL ended, and not we, was ended for want of memory; each kill is told once.
    func claim() -> Bool {
        claimed.withLock { claimed in
            guard Self.count(descriptor) > claimed else { return false }
            claimed += 1
            return true
        }
    }

    private static func count(_ descriptor: Int32) -> Int {
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return 0 }
        for line in bytes[..<count].split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            if words.count == 2, words[0].elementsEqual("oom_kill".utf8) { return Int(String(decoding: words[1], as: UTF8.self)) ?? 0 }
        }
        return 0
    }
}

extension Reaper {
    /// What the kernel said of a dead child, in our words.
    func status(code: Int32, signal: Int32, isKilledByUs: Bool = false) -> ExitStatus {
        guard signal != 0 else { return .code(code) }
        if signal == SIGKILL, !isKilledByUs, configuration.memoryKills?.claim() == true { return .outOfMemory }
        return .signal(signal)
    }
}
