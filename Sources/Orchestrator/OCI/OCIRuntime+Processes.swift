import Glibc

/// One process of a machine, as `ps` shows it; sizes in bytes, times in milliseconds.
public struct MachineProcess: Codable, Sendable, Equatable {
    /// As the machine itself numbers it.
    public var pid: Int
    public var command: String
    public var directory: String
    /// Hundredths of one processor, of its whole life.
    public var cpu: Int
    public var rss: Int
    /// Processor time.
    public var rtime: Int
    /// Of it, in the kernel.
    public var stime: Int
}

extension OCIRuntime {
    /// What runs in a machine. Names and arguments are the machine's own words: bounded here, printed with care elsewhere.
    public func processes(_ machine: String, boot: String) async throws -> [MachineProcess] {
        let cgroup = configuration.cgroup(try Self.name(machine, boot))
        return try await workers.run { [self] in cgroups.processes(cgroup).compactMap(MachineProcess.init(hostPID:)) }
    }
}

extension MachineProcess {
    private static let commandLimit = 512

    /// `nil` for one that ended meanwhile.
    init?(hostPID: Int32) {
        let directory = "/proc/\(hostPID)"
        guard let status = Files.read(directory + "/status"), let stat = Files.read(directory + "/stat"),
            let name = status.split(separator: "\n").first?.split(separator: "\t").last
        else { return nil }
        // Behind the name, which may hold anything: the fields from the third on.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ").dropFirst()
        func field(_ number: Int) -> Int { fields.dropFirst(number - 3).first.flatMap { Int($0) } ?? 0 }
        let tick = 1_000 / max(1, sysconf(Int32(_SC_CLK_TCK)))
        let arguments = Files.read(directory + "/cmdline", limit: Self.commandLimit)?.split(separator: "\0").joined(separator: " ") ?? ""
        pid = status.split(separator: "\n").first { $0.hasPrefix("NSpid:") }?.split(separator: "\t").last.flatMap { Int($0) } ?? Int(hostPID)
        command = String((arguments.isEmpty ? "[\(name)]" : arguments).prefix(Self.commandLimit))
        self.directory = Self.link(directory + "/cwd") ?? ""
        stime = field(15) * tick
        rtime = field(14) * tick + stime
        rss = field(24) * sysconf(Int32(_SC_PAGESIZE))
        let age = (Self.uptime - Double(field(22)) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))) * 1_000
        cpu = age > 0 ? min(Int(Double(rtime) * 100 / age), 100_000) : 0
    }

    private static var uptime: Double { Files.read("/proc/uptime")?.split(separator: " ").first.flatMap { Double($0) } ?? 0 }

    private static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }
}
