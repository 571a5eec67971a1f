import Door
import MachineAPI

extension MachineConfig {
    /// What the machine may use.
    var limits: MachineLimits {
        let memory = memoryMB << 20
        let share = guest?.cpu_kind == "performance" ? 1.0 : 0.5
        return MachineLimits(
            memoryBytes: memory, cpus: share * Double(guest?.cpus ?? 1), pids: guest?.pids ?? 64, tmpBytes: min(64 << 20, memory / 4))
    }

    /// What an admin knows of the server's protocol era.
    var era: BootDocument.EraChoice { metadata?["berth_era"].flatMap(BootDocument.EraChoice.init) ?? .auto }

    /// Where its server listens, if it speaks HTTP.
    var place: BootDocument.HTTPPlace? { berth?.http.map { BootDocument.HTTPPlace(port: $0.port, path: $0.path) } }

    var policy: MachineStateMachine.Policy {
        MachineStateMachine.Policy(
            restart: restart?.policy ?? .onFailure, maxRetries: restart?.max_retries ?? 10,
            stopSeconds: min(300, max(1, (stop_config?.timeout).flatMap(Duration.init(apiText:)).map { $0.components.seconds } ?? 5)),
            destroysItself: auto_destroy ?? false, idle: berth?.idle)
    }
}
