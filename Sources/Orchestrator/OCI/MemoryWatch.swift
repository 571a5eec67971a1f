import CLinux
import Foundation
import Glibc
import Synchronization

/// Processes of a machine that the kernel ended for want of memory, as soon as it has.
struct MemoryKill: Sendable, Equatable {
    let machine: String
    let boot: String
    /// Since the last news.
    let count: Int
}

/// Waits, on one thread, for the kernel to end processes of machines for want of memory.
///
/// Version 2 wakes who polls `memory.events`; version 1 adds to an eventfd that was registered for `memory.oom_control`, and does so
/// *before* it kills, so that the number is looked at again for a while.
final class MemoryWatch: Sendable {
    private struct Watch {
        var descriptor: Int32
        var cgroup: String
        var kills: Int
        /// When the number last rose.
        var roseAt: ContinuousClock.Instant?
        /// How often it is still looked at without being waked.
        var looks = 0
    }

    private struct State {
        var watches: [BootName: Watch] = [:]
        /// Closed by the thread, which may be polling them.
        var closing: [Int32] = []
        var isEnded = false
    }

    private static let pause: Int32 = 50
    private static let looks = 40

    private let cgroups: CgroupTree
    private let state = Mutex(State())
    private let wakePipe: WakePipe
    private let told: @Sendable (MemoryKill) -> Void

    init(cgroups: CgroupTree, told: @escaping @Sendable (MemoryKill) -> Void) throws(OCIError) {
        self.cgroups = cgroups
        self.told = told
        wakePipe = try WakePipe()
        let thread = Thread { [self] in run() }
        thread.name = "berth-memory"
        thread.start()
    }

    /// From here on; what was before is not told. Where the kernel has no such news nothing is, until it is asked.
    func watch(_ name: BootName, cgroup: String) {
        let watch = Watch(descriptor: open(cgroup) ?? -1, cgroup: cgroup, kills: cgroups.oomKills(cgroup))
        state.withLock { state in
            if let old = state.watches.updateValue(watch, forKey: name) { state.closing.append(old.descriptor) }
        }
        wakePipe.wake()
    }

    /// Before its cgroup is removed.
    func forget(_ name: BootName) {
        state.withLock { state in
            if let old = state.watches.removeValue(forKey: name) { state.closing.append(old.descriptor) }
        }
        wakePipe.wake()
    }

    /// Whether the kernel ended a process of the machine just now; asked while the cgroup is there.
    func hasJustKilled(_ name: BootName, within limit: Duration = .seconds(2)) -> Bool {
        guard let watch = state.withLock({ $0.watches[name] }) else { return false }
        if cgroups.oomKills(watch.cgroup) > watch.kills { return true }
        return watch.roseAt.map { $0.duration(to: .now) < limit } ?? false
    }

    func end() {
        state.withLock { $0.isEnded = true }
        wakePipe.wake()
    }

    private func open(_ cgroup: String) -> Int32? {
        guard let directory = cgroups.directory("memory", cgroup) else { return nil }
        if cgroups.isVersion2 {
            let descriptor = Glibc.open(directory + "/memory.events", O_RDONLY | O_CLOEXEC)
            return descriptor < 0 ? nil : descriptor
        }
        let file = Descriptor(Glibc.open(directory + "/memory.oom_control", O_RDONLY | O_CLOEXEC))
        let counter = Descriptor(clinux_eventfd())
        guard file.value >= 0, counter.value >= 0,
            (try? Files.set(directory + "/cgroup.event_control", "\(counter.value) \(file.value)")) != nil
        else { return nil }
        return counter.release()
    }

    private func run() {
        while true {
            let (watches, closing, isEnded) = state.withLock { state in
                defer { state.closing = [] }
                return (Array(state.watches), state.closing, state.isEnded)
            }
            for descriptor in closing where descriptor >= 0 { close(descriptor) }
            if isEnded { break }
            var polled = [pollfd(fd: wakePipe.reader, events: Int16(POLLIN), revents: 0)]
            polled += watches.map { pollfd(fd: $0.value.descriptor, events: Int16(cgroups.isVersion2 ? POLLPRI : POLLIN), revents: 0) }
            let isLooking = watches.contains { $0.value.looks > 0 }
            if poll(&polled, nfds_t(polled.count), isLooking ? Self.pause : -1) < 0 && errno != EINTR { usleep(10_000) }
            if polled[0].revents != 0 { wakePipe.drain() }
            for (index, entry) in watches.enumerated() where polled[index + 1].revents != 0 || entry.value.looks > 0 {
                look(entry.key, entry.value.descriptor, isWaked: polled[index + 1].revents != 0)
            }
        }
        let left = state.withLock { state in
            defer { state.watches = [:] }
            return state.closing + state.watches.values.map(\.descriptor)
        }
        for descriptor in left where descriptor >= 0 { close(descriptor) }
    }

    private func look(_ name: BootName, _ descriptor: Int32, isWaked: Bool) {
        if isWaked {
            // Both kinds are armed again by being read.
            var bytes = [UInt8](repeating: 0, count: 1_024)
            _ = pread(descriptor, &bytes, bytes.count, 0) < 0 ? read(descriptor, &bytes, bytes.count) : 0
        }
        let news = state.withLock { state -> MemoryKill? in
            guard var watch = state.watches[name], watch.descriptor == descriptor else { return nil }
            let kills = cgroups.oomKills(watch.cgroup)
            watch.looks = isWaked ? Self.looks : watch.looks - 1
            defer { state.watches[name] = watch }
            guard kills > watch.kills else { return nil }
            let count = kills - watch.kills
            watch.kills = kills
            watch.roseAt = .now
            return MemoryKill(machine: name.machine, boot: name.boot, count: count)
        }
        if let news { told(news) }
    }
}
