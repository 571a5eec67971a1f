import ArgumentParser
import AuthorCommands
import JSONText
import Orchestrator

/// `berth status`
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What runs, and where.")
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    func run() async throws {
        let installation = try state.installation()
        let gateway = try await ControlClient.gateway(installation).get("/api/v1/status")
        let machines = try await Machines.all(installation)
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        let memory = try await ControlClient.orchestrator(installation).get("/v1/berth/memory")
        let short = try await ControlClient.orchestrator(installation).get("/v1/berth/running")["short"]?.arrayValue ?? []
        let disk = DiskUse(installation)
        let running = machines.filter { $0["state"]?.stringValue == "started" }.count
        if output.json {
            return Output.json(
                .record(("state", .string(installation.state)), ("gateway", gateway), ("machines", .array(machines)), ("memory", memory), ("short", .array(short)), ("disk", disk.json), ("host", doctor)))
        }
        Output.line("URL         \(gateway.cell("url"))")
        if !gateway.cell("url").hasSuffix("//" + gateway.cell("listen")) { Output.line("Listens on  \(gateway.cell("listen"))") }
        Output.line("State       \(installation.state)")
        Output.line("Connectors  \(gateway.cell("connectors"))   virtual MCPs \(gateway.cell("vmcps"))   active tokens \(gateway.cell("tokens"))")
        Output.line("Machines    \(running) of \(machines.count) started")
        for line in ShortageLine.texts(short, machines) { Output.line("  short     \(line)") }
        Output.line("Memory      \(MemoryLine.text(memory))")
        let room = RunningState.all().first { $0.state == installation.state }?.buildRoom ?? BuildRoom.standard
        Output.line("Disk        \(disk.line(room: room))")
        Output.line("Isolation   \(Isolation.line(doctor))")
    }
}

/// Connectors that have fewer machines started than `--min` says.
enum ShortageLine {
    /// - Parameter machines: by which an app's connector is known.
    static func texts(_ short: [JSONValue], _ machines: [JSONValue]) -> [String] {
        short.map { row in
            let own = machines.first { $0.cell("app") == row.cell("app") }
            return "\(own.flatMap(Machines.connector) ?? row.cell("app")): \(text(row))"
        }
    }

    static func text(_ row: JSONValue) -> String {
        let reason = row["reason"]?.stringValue.map { ": " + Printable.line($0) } ?? ", the others are on their way"
        return "\(row.cell("started")) of \(row.cell("min")) started that are to run\(reason)"
    }
}

/// What machines may have of the host's memory, in one line.
enum MemoryLine {
    static func text(_ memory: JSONValue) -> String {
        func mebibytes(_ key: String) -> String { "\((memory[key]?.intValue ?? 0) >> 20)" }
        let machines = memory["machines"]?.intValue ?? 0
        return "\(mebibytes("promised")) of \(mebibytes("budget")) MiB promised to \(machines) machine\(machines == 1 ? "" : "s"), "
            + "\(mebibytes("headroom")) MiB headroom (budget \(memory.cell("setting"))); \(mebibytes("host_available")) MiB available on the host"
    }
}

/// The isolation layers in one line.
enum Isolation {
    /// The same for programs.
    static func json(_ doctor: JSONValue) -> JSONValue {
        let layers = (doctor["layers"]?.arrayValue ?? []).filter { $0["required"]?.boolValue == true }
        func names(active: Bool) -> JSONValue {
            .strings(layers.filter { ($0["state"]?.stringValue == "active") == active }.map { $0.cell("name") })
        }
        return .record(("active", names(active: true)), ("missing", names(active: false)))
    }

    /// What every machine has, and what of that is missing; layers that are merely good to have are `berth doctor`'s.
    static func line(_ doctor: JSONValue) -> String {
        let layers = (doctor["layers"]?.arrayValue ?? []).filter { $0["required"]?.boolValue == true }
        let active = layers.filter { $0["state"]?.stringValue == "active" }.map { $0.cell("name") }
        let missing = layers.filter { $0["state"]?.stringValue != "active" }.map { $0.cell("name") }
        let namespaces = active.filter { $0.hasSuffix("-namespace") }.map { String($0.dropLast("-namespace".count)) }
        let others = active.filter { !$0.hasSuffix("-namespace") && !["privilege", "oci-runtime", "cgroup-hierarchy"].contains($0) }
        let parts = (namespaces.isEmpty ? [] : ["namespaces " + namespaces.joined(separator: "+")]) + others
        return parts.joined(separator: " · ") + (missing.isEmpty ? "" : "   MISSING: " + missing.joined(separator: ", "))
    }
}
