import CLinux
import Glibc
import Logging
import Synchronization

extension OCIRuntime {
    /// Makes a machine up to the point where its program would start. The caller has written its row before.
    ///
    /// - Throws: `OCIError`; whatever was made of the machine until then has been removed again.
    public func create(_ spec: MachineSpec) async throws -> CreatedMachine {
        let name = try Self.name(spec.machine, spec.boot)
        do {
            return try await workers.run { [self] in
                creating.withLock { $0 += 1 }
                defer { creating.withLock { $0 -= 1 } }
                return try createBlocking(spec, name)
            }
        } catch {
            try? await workers.run { [self] in
                command.endStrays(of: name)
                try removeBlocking(name)
            }
            throw error
        }
    }

    private func network(of spec: MachineSpec) throws -> Descriptor {
        if spec.hasLocalNetwork { return try LocalNetwork.make() }
        guard spec.answersNames else { return Descriptor(-1) }
        do {
            return try LocalNetwork.make(isClosed: true)
        } catch {
            // The runtime's own has no route either: what is refused there is only not told.
            logger.warning("a machine's look-ups are not told", metadata: ["machine": "\(spec.machine)", "error": "\(error)"])
            return Descriptor(-1)
        }
    }

    private func createBlocking(_ spec: MachineSpec, _ name: BootName) throws -> CreatedMachine {
        guard !spec.arguments.isEmpty, spec.slot >= 0, MachineSpec.uidBase(slot: spec.slot + 1) < Int(UInt32.max) else {
            throw OCIError(.invalidSpec, "\(name) has no command or no range of user ids")
        }
        Failpoint.hit("create.before-bundle")
        let bundle = configuration.bundle(name)
        guard mkdir(bundle, 0o700) == 0 else { throw OCIError.system("mkdir", bundle, errno) }
        if let door = spec.doorPath { try Files.write(bundle + "/door", Array(door.utf8)) }
        if let path = spec.runtimePath { try Files.write(bundle + "/runtime", Array(path.utf8)) }
        let command = command(of: name)
        let root = RootFileSystem(
            bundle: bundle, mountPoint: configuration.mountPoint(name), stagesBinds: command.opensSourcesInside)
        Failpoint.hit("bundle")
        let binds = try root.mount(layers: spec.layers, binds: spec.binds)
        // Open until the machine's processes have it.
        let network = try network(of: spec)
        let config = RuntimeConfig(
            spec: spec, cgroupPath: configuration.cgroup(name), rootfs: root.rootfs, binds: binds,
            networkPath: network.value < 0 ? nil : "/proc/\(getpid())/fd/\(network.value)")
        try Files.write(bundle + "/config.json", try config.json())
        let rootedAt = ContinuousClock.now
        Failpoint.hit("create.after-mount")

        let fifo = bundle + "/output"
        guard mkfifo(fifo, 0o600) == 0 else { throw OCIError.system("mkfifo", fifo, errno) }
        try log.attach(name, fifo: fifo)
        // For reading and writing: never a broken pipe for the machine, whoever reads, and never `/dev/null`, whose owner
        // crun would change.
        let output = Descriptor(open(fifo, O_RDWR | O_CLOEXEC))
        guard output.value >= 0 else { throw OCIError.system("open", fifo, errno) }
        var input = try PipeEnds()
        input.closeWriter()
        let door = try Door.make(spec.doorPath, group: configuration.doorGroup)
        let boot = try BootMemory.make(spec.bootDocument)
        let memory = cgroups.openMemoryKills(configuration.cgroup(name))

        let pidFile = bundle + "/pid"
        try command.create(
            name, bundle: bundle, pidFile: pidFile, log: bundle + "/runtime.log",
            stdio: (input.reader, output.value, output.value), extra: [door.value, boot.value] + (memory.value < 0 ? [] : [memory.value]))
        withExtendedLifetime(network) {}
        Failpoint.hit("create.after-runtime")
        guard let pid = Files.read(pidFile).flatMap({ Int32($0.filter { $0 != "\n" }) }) else {
            throw OCIError(.runtimeFailed, "\(name): the runtime wrote no pid")
        }
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else { throw OCIError.system("pidfd_open", "\(name)", -pidfd) }
        guard CgroupTree.contains(configuration.cgroup(name), pid: pid) else {
            close(pidfd)
            throw OCIError(.runtimeFailed, "\(name): process \(pid) is not in the machine's cgroup")
        }
        for folder in ["tmp", "dev/shm"] { MachineFolder.share(folder, process: pid) }
        watch(name, pid: pid, pidfd: pidfd)
        return CreatedMachine(machine: name.machine, boot: name.boot, pid: pid, isStarted: false, rootedAt: rootedAt)
    }
}

/// A machine's listening socket: made and held by us, so the machine has no path that it could replace.
private enum Door {
    static func make(_ path: String?, group: UInt32) throws(OCIError) -> Descriptor {
        guard let path else { return try unconnected() }
        return try HostSocket.listen(path, group: group)
    }

    /// For a machine without a door: descriptor 3 must be something, and nobody is at its other end.
    private static func unconnected() throws(OCIError) -> Descriptor {
        let socket = Descriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        guard socket.value >= 0 else { throw .system("socket", "", errno) }
        return socket
    }
}

/// The boot document in memory that nothing can change any more and that no path leads to.
private enum BootMemory {
    static func make(_ bytes: [UInt8]) throws(OCIError) -> Descriptor {
        let memory = Descriptor(clinux_memfd_create("boot", 0))
        guard memory.value >= 0 else { throw .system("memfd_create", "boot", -memory.value) }
        try Files.writeAll(memory.value, bytes, "boot document")
        guard lseek(memory.value, 0, SEEK_SET) == 0 else { throw .system("lseek", "boot document", errno) }
        let sealed = clinux_memfd_seal(memory.value)
        guard sealed == 0 else { throw .system("seal", "boot document", -sealed) }
        return memory
    }
}
