import Foundation

/// The OCI `config.json` of a machine: every layer of its isolation in one document.
struct RuntimeConfig {
    let spec: MachineSpec
    let cgroupPath: String
    /// Absolute path of the mounted root file system.
    let rootfs: String
    /// The binds with the sources that the runtime can reach.
    let binds: [BindMount]
    /// Of a network namespace that was made before; nil for one of the runtime's making.
    var networkPath: String?

    /// What the agent holds, to put each child under a user of its own and to end it. A child holds nothing.
    static let capabilities = ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]

    func json() throws(OCIError) -> [UInt8] {
        do {
            return Array(try JSONSerialization.data(withJSONObject: document(), options: [.sortedKeys, .withoutEscapingSlashes]))
        } catch {
            throw OCIError(.invalidSpec, "the configuration of \(spec.machine) is no JSON: \(error)")
        }
    }

    func document() -> [String: Any] {
        [
            "ociVersion": "1.0.2",
            "hostname": spec.hostname,
            "process": process(),
            "root": ["path": rootfs, "readonly": true] as [String: Any],
            "mounts": mounts(),
            "linux": linux(),
        ]
    }

    private func process() -> [String: Any] {
        let files = spec.isUntrusted ? min(1024, spec.limits.files) : spec.limits.files
        return [
            "terminal": false,
            "user": ["uid": 0, "gid": 0, "umask": 0o077],
            "args": spec.arguments,
            "cwd": "/",
            "env": spec.environment,
            "capabilities": [
                "bounding": Self.capabilities, "effective": Self.capabilities, "permitted": Self.capabilities,
                "inheritable": [], "ambient": [],
            ] as [String: [String]],
            "rlimits": [
                ["type": "RLIMIT_NOFILE", "soft": min(1024, files), "hard": files],
                ["type": "RLIMIT_CORE", "soft": 0, "hard": 0],
                ["type": "RLIMIT_MEMLOCK", "soft": 65_536, "hard": 65_536],
            ] as [[String: Any]],
            "noNewPrivileges": true,
            // The agent writes 1000 for its children: want of memory ends a child first.
            "oomScoreAdj": 500,
        ]
    }

    private func mounts() -> [[String: Any]] {
        func mount(_ destination: String, _ type: String, _ source: String, _ options: String) -> [String: Any] {
            ["destination": destination, "type": type, "source": source, "options": options.split(separator: ",").map(String.init)]
        }
        var mounts = [
            // gid=0: the agent sees every process, a child only its own.
            mount("/proc", "proc", "proc", "nosuid,noexec,nodev,hidepid=2,gid=0"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=64k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=\(spec.isUntrusted ? "1m" : "16m"),nr_inodes=1k"),
            mount(
                "/tmp", "tmpfs", "tmpfs",
                "nosuid,nodev,\(spec.tmpExecutable ? "exec" : "noexec"),mode=1777,size=\(spec.limits.tmpBytes),nr_inodes=16k"),
        ]
        for bind in binds {
            mounts.append(mount(bind.destination, "bind", bind.source, "bind,nosuid,nodev,\(bind.readOnly ? "ro" : "rw")"))
        }
        return mounts
    }

    private func linux() -> [String: Any] {
        var linux = walls()
        if !spec.without.contains("seccomp") {
            linux["seccomp"] = SeccompProfile.document(
                allowsSystemVIPC: spec.allowsSystemVIPC, allowsTracing: spec.allowsTracing, families: families)
        }
        return linux
    }

    /// An untrusted machine has the network's kinds only where it has a network, and no way to ask the kernel about interfaces.
    private var families: [Int] {
        guard spec.isUntrusted else { return SeccompProfile.socketFamilies }
        return spec.usesNetwork ? [1, 2, 10] : [1]
    }

    private func walls() -> [String: Any] {
        let base = MachineSpec.uidBase(slot: spec.slot)
        let mapping = [["containerID": 0, "hostID": base, "size": MachineSpec.uidCount]]
        return [
            "namespaces": ["pid", "mount", "ipc", "uts", "cgroup", "network", "user"].map { type in
                type == "network" && networkPath != nil ? ["type": type, "path": networkPath ?? ""] : ["type": type]
            },
            "uidMappings": mapping,
            "gidMappings": mapping,
            "cgroupsPath": cgroupPath,
            "resources": resources(),
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        ]
    }

    private func resources() -> [String: Any] {
        var resources: [String: Any] = [
            "memory": ["limit": spec.limits.memoryBytes, "swap": spec.limits.memoryBytes],
            "cpu": [
                "shares": 256, "quota": CPUQuota.microseconds(cpus: spec.limits.cpus), "period": CPUQuota.period,
            ],
            "pids": ["limit": spec.limits.pids],
            "devices": [["allow": false, "access": "rwm"] as [String: Any]],
        ]
        // The runtime would refuse what the host has no controller for.
        if spec.without.contains("cgroup-cpu") { resources["cpu"] = nil }
        if spec.without.contains("cgroup-pids") { resources["pids"] = nil }
        return resources
    }
}

/// Processors as the kernel counts them: microseconds of each period.
enum CPUQuota {
    static let period = 100_000

    static func microseconds(cpus: Double) -> Int { max(1_000, Int(cpus * Double(period))) }
}
