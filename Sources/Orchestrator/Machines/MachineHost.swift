import Door
import Logging
import MachineAPI
import Sealing

/// What every machine's owner works with.
struct MachineHost: Sendable {
    let store: MachineStore
    let runtime: any MachineRuntime
    let probe: any DoorAsking
    let images: any ImageLookup
    let hub: MachineHub
    let doors: String
    /// The installation's first range of host user ids.
    let firstSlot: Int
    /// Of the host, for the answers.
    let isolation: [String]
    let logger: Logger

    /// Where the machine's agent answers.
    func door(_ boot: String) -> String { "\(doors)/\(boot).sock" }

    func keys(_ record: MachineRecord, _ boot: BootRecord) async throws -> (keys: DoorKeys, org: String) {
        guard let app = try await store.app(record.app) else { throw MachineFailure.unknownApp(record.app) }
        return (try DoorKeys(root: try await store.root(of: app.name), machine: record.id, boot: boot.boot), app.org)
    }

    /// Makes one boot and starts it. Its row is written.
    func make(_ record: MachineRecord, _ boot: BootRecord) async throws {
        guard let image = try await images.layers(of: record.config.image) else {
            throw MachineFailure(
                .internalError, "image_missing", "the image \(record.config.image) is not in the store", field: "config.image",
                hint: "build it again")
        }
        let (keys, org) = try await keys(record, boot)
        let limits = record.config.limits
        let document = BootDocument(
            org: org, app: record.app, keys: keys, machine: record.id, boot: boot.boot, command: record.config.`init`?.exec ?? image.command,
            directory: image.directory, environment: image.environment.merging(record.config.env ?? [:]) { _, own in own },
            childLimits: .init(within: limits))
        var starting = limits
        // Python's imports at half a processor take three times as long; the real share comes when it is ready.
        starting.cpus = max(1, limits.cpus)
        _ = try await runtime.create(
            MachineSpec(
                machine: record.id, boot: boot.boot, slot: firstSlot + boot.slot, layers: image.layers, arguments: Self.agent, limits: starting,
                doorPath: boot.door, bootDocument: try document.encode()))
        Failpoint.hit("create")
        try await runtime.start(record.id, boot: boot.boot)
        Failpoint.hit("start")
    }

    /// PID 1 of every machine; a layer of every image holds it.
    static let agent = ["/opt/berth/berth-agent", "agent"]
}

extension MachineConfig {
    /// What the machine may use.
    var limits: MachineLimits {
        let memory = (guest?.memory_mb ?? 256) << 20
        let share = guest?.cpu_kind == "performance" ? 1.0 : 0.5
        return MachineLimits(
            memoryBytes: memory, cpus: share * Double(guest?.cpus ?? 1), pids: guest?.pids ?? 64, tmpBytes: min(64 << 20, memory / 4))
    }

    var policy: MachineStateMachine.Policy {
        MachineStateMachine.Policy(
            restart: restart?.policy ?? .onFailure, maxRetries: restart?.max_retries ?? 10,
            stopSeconds: min(300, max(1, (stop_config?.timeout).flatMap(Duration.init(apiText:)).map { $0.components.seconds } ?? 5)))
    }
}

extension Duration {
    /// `10s`, `500ms`, `1m30s`; a bare number is nanoseconds, as Fly's clients send it.
    init?(apiText text: String) {
        if let nanoseconds = Int64(text) {
            guard nanoseconds >= 0 else { return nil }
            self = .nanoseconds(nanoseconds)
            return
        }
        var total = Duration.zero
        var rest = Substring(text)
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { $0.isLetter }
            rest = rest[unit.endIndex...]
            guard let number = Double(digits), number.isFinite, number < 1e9 else { return nil }
            switch unit {
            case "h": total += .seconds(number * 3_600)
            case "m": total += .seconds(number * 60)
            case "s": total += .seconds(number)
            case "ms": total += .milliseconds(number)
            default: return nil
            }
        }
        self = total
    }
}
