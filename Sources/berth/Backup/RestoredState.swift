import AuthorCommands
import CLinux
import Glibc
import Orchestrator
import Persistence
import StdioBridge

/// A state directory that takes a backup: everything is written and checked below `<state>/restoring`, then moved. While that
/// folder is there, nobody takes the directory for a state, and the next restore begins anew.
struct RestoredState {
    let installation: Installation
    private let lock: StateLock
    private let wasThere: Bool

    private static let folder = "restoring"
    private static let mark = "unfinished"
    private var work: String { installation.state + "/" + Self.folder }

    /// - Throws: `Failure` where a restore into the directory was cut off.
    static func refuseUnfinished(_ state: String) throws {
        guard access(state + "/" + folder, F_OK) == 0 else { return }
        throw Failure("a restore into \(state) is under way or was cut off", hint: "wait for it, or run berth restore FILE --state \(state) again")
    }

    /// Takes the directory: made if need be, locked, and found to hold no state.
    init(_ installation: Installation) throws {
        self.installation = installation
        let state = installation.state
        if let pid = StateLock.holder(installation.lock) {
            throw Failure(
                "a Berth (or another command) uses the state \(state), pid \(pid)",
                hint: "berth down\(installation.stateOption) first, or restore into another directory with --state DIR")
        }
        wasThere = access(state, F_OK) == 0
        do {
            try StateDirectory.prepare(state)
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
        try Self.refuseFull(installation)
        lock = try StateLock.take(installation.lock)
        do {
            // Again, now that nobody else changes it.
            try Self.refuseFull(installation)
            try clear()
            guard mkdir(work, 0o700) == 0, close(open(work + "/" + Self.mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)) == 0 else {
                throw Failure("\(work) cannot be made: \(String(cString: strerror(errno)))", hint: "make \(state) writable")
            }
            let gateway = try GatewayUser.ids()
            for (part, uid, gid) in [(StatePart.Part.gateway, gateway.uid, gateway.gid), (.orchestrator, 0, 0)] {
                guard mkdir(directory(part), 0o700) == 0, chown(directory(part), uid, gid) == 0 else {
                    throw Failure("\(directory(part)) cannot be made: \(String(cString: strerror(errno)))", hint: "make \(state) writable")
                }
            }
        } catch {
            abandon()
            throw error
        }
    }

    /// Where a part is written.
    func directory(_ part: StatePart.Part) -> String { work + "/" + part.rawValue }

    /// Everything was found well: it becomes the state.
    func commit(listen: String?) throws {
        do {
            _ = try StateDirectory(installation.state)
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
        if let listen { try installation.remember(listen: listen) }
        try flush()
        for part in StatePart.Part.allCases {
            let path = installation.state + "/" + part.rawValue
            // An empty folder of that name gives way; a full one does not.
            guard rename(directory(part), path) == 0 else {
                throw Failure("\(path) cannot be made: \(String(cString: strerror(errno)))", hint: "run the command again")
            }
        }
        try flush()
        unlink(work + "/" + Self.mark)
        guard rmdir(work) == 0 else { throw Failure("\(work) cannot be removed: \(String(cString: strerror(errno)))", hint: "run the command again") }
        try flush()
        lock.release()
    }

    /// Nothing of it stays.
    func abandon() {
        try? clear()
        if !wasThere {
            for name in ["version", "lock"] { unlink(installation.state + "/" + name) }
            rmdir(installation.state)
        }
        lock.release()
    }

    /// Removes what a restore that was cut off left, some of it in its final place.
    private func clear() throws {
        guard access(work, F_OK) == 0 else { return }
        for name in StatePart.Part.allCases.map(\.rawValue) + ["listen"] { try HostFiles.remove(installation.state + "/" + name) }
        try HostFiles.remove(work)
    }

    /// Nothing but what an empty state has, or a restore that was cut off left.
    private static func refuseFull(_ installation: Installation) throws {
        let state = installation.state
        let names = Set(directoryNames(state) ?? [])
        // The mark tells our folder from somebody's of the same name, beside a state.
        let isUnfinished = access("\(state)/\(folder)/\(mark)", F_OK) == 0
            || names.contains(folder) && directoryNames(state + "/" + folder)?.isEmpty == true
        let parts = StatePart.Part.allCases.map(\.rawValue)
        let own = Installation.files.union(["lost+found"] + (isUnfinished ? [folder] + parts : []))
        guard let stranger = names.subtracting(own).sorted().first(where: { !parts.contains($0) || directoryNames("\(state)/\($0)")?.isEmpty != true })
        else { return }
        guard parts.contains(stranger) else {
            throw Failure("\(state) holds \(stranger), which is not Berth's", hint: "give --state a new or empty directory")
        }
        throw Failure(
            "\(state) holds a state already", hint: "restore into another directory with --state DIR, or remove that one with berth down --purge\(installation.stateOption)")
    }

    private func flush() throws {
        let descriptor = open(installation.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, clinux_syncfs(descriptor) == 0 else {
            throw Failure("\(installation.state) cannot be written: \(String(cString: strerror(errno)))", hint: "look at its disk")
        }
    }
}
