import ArgumentParser
import AuthorCommands
import JSONText

extension MachinesCommand {
    struct Usage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What a machine uses and may use: processor, memory, processes, descriptors, disk; and how long its last start took.")
        @OptionGroup var verb: MachineVerb

        func run() async throws {
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation)
            let usage = try await ControlClient.orchestrator(installation).get("\(machine.path)/berth/usage")
            if verb.output.json { return Output.json(usage) }
            Output.line("Machine      \(machine.title), \(usage.cell("state"))")
            for (title, text) in UsageText(usage).lines { Output.line(title.padded(to: 13) + text) }
        }
    }
}

/// A machine's usage in words.
struct UsageText {
    private let usage: JSONValue

    init(_ usage: JSONValue) { self.usage = usage }

    /// `berth machines list --usage`: a row of what runs.
    static let columns = ["MACHINE", "CONNECTOR", "STATE", "CPU", "MEMORY", "PEAK", "PIDS", "FILES", "TMP", "LOG", "OOM", "THROTTLED"]

    func row(of machine: JSONValue) -> [String] {
        let cells: [String?] = [
            machine.cell("id"), Machines.connector(of: machine), machine.cell("state"), processors(" of "),
            of(number("memory", "used"), number("memory", "limit")), size("memory", "peak"), pids, count("descriptors", "open"),
            size("disk", "tmp"), size("disk", "log"), count("memory", "oom_kills"), throttled,
        ]
        return cells.map { $0 ?? "-" }
    }

    var lines: [(String, String)] {
        var lines: [(String, String)] = []
        if let cpu = processors(" of ") {
            let time = Self.seconds(number("cpu", "time_ms") ?? 0)
            lines.append(("CPU", "\(cpu) processors now, \(time) since the boot"))
            lines.append(("Throttled", "\(throttled ?? "-"): had to wait for its share \(Self.seconds(number("cpu", "throttled_ms") ?? 0)) in all"))
        }
        if let memory = of(number("memory", "used"), number("memory", "limit")) {
            let parts = [("working set", "working_set"), ("processes", "rss"), ("peak", "peak")].compactMap { title, key in
                number("memory", key).map { "\(title) \(Self.bytes($0))" }
            }
            lines.append(("Memory", "\(memory) (\(parts.joined(separator: ", ")))"))
            let (hits, kills) = (number("memory", "limit_hits") ?? 0, number("memory", "oom_kills") ?? 0)
            lines.append(("  pressure", "came up against the limit \(Self.times(hits)); the kernel ended \(kills) processes for want of memory"))
        }
        if let pids { lines.append(("Processes", "\(pids) with threads, refused \(Self.times(number("pids", "limit_hits") ?? 0))")) }
        if let open = number("descriptors", "open"), let most = number("descriptors", "most") {
            let limit = number("descriptors", "limit").map { ", which may have \($0)" } ?? ""
            lines.append(("Descriptors", "\(open) open, \(most) of one process\(limit)"))
        }
        let disk = [("/tmp", "tmp"), ("/dev/shm", "shm")].compactMap { title, key in
            of(number("disk", key), number("disk", key + "_limit")).map { "\(title) \($0)" }
        }
        lines.append(("Disk", (disk + ["log \(Self.bytes(number("disk", "log") ?? 0))"]).joined(separator: ", ")))
        lines.append(("Last start", start ?? "none is known"))
        return lines
    }

    private var start: String? {
        guard let total = usage["start"]?["total_ms"]?.text else { return nil }
        let steps = ["row", "root", "create", "start", "agent", "server"].compactMap { step in
            usage["start"]?["\(step)_ms"].flatMap { $0.isNull ? nil : "\(step) \($0.text)" }
        }
        return "\(total) ms: \(steps.joined(separator: ", "))"
    }

    private func processors(_ of: String) -> String? {
        usage["cpu"]?["used"].map { $0.text + (usage["cpu"]?["limit"].map { of + $0.text } ?? "") }
    }

    private var pids: String? { number("pids", "now").map { "\($0)" + (number("pids", "limit").map { " of \($0)" } ?? "") } }

    private var throttled: String? {
        guard let periods = number("cpu", "periods"), let throttled = number("cpu", "throttled_periods") else { return nil }
        return "\(throttled) of \(periods)"
    }

    private func number(_ part: String, _ key: String) -> Int? { usage[part]?[key]?.intValue }

    private func size(_ part: String, _ key: String) -> String? { number(part, key).map { Self.bytes($0) } }

    private func count(_ part: String, _ key: String) -> String? { number(part, key).map { "\($0)" } }

    private func of(_ used: Int?, _ limit: Int?) -> String? {
        used.map { Self.bytes($0) + (limit.map { " of " + Self.bytes($0) } ?? "") }
    }

    static func bytes(_ bytes: Int) -> String {
        if bytes < 1 << 20 { return "\((bytes + 1_023) >> 10) KiB" }
        let tenths = (bytes * 10) >> 20
        return tenths % 10 == 0 || tenths >= 1_000 ? "\(tenths / 10) MiB" : "\(tenths / 10).\(tenths % 10) MiB"
    }

    private static func seconds(_ milliseconds: Int) -> String {
        milliseconds < 1_000 ? "\(milliseconds) ms" : "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s"
    }

    private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
}
