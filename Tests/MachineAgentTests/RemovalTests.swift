import CLinux
import Glibc
import NIOCore
import NIOPosix
import Testing

/// The `kill` mode over what a child may leave in the shared directories of its machine.
@Suite(.enabled(if: AgentRig.isPossible)) struct RemovalTests {
    @Test(arguments: [140, 2_000]) func removesEveryDepth(levels: Int) async throws {
        try await Remains.with { remains in
            var place = try remains.directory("deep")
            for _ in 0..<levels {
                let next = try remains.directory("d", in: place)
                close(place)
                place = next
            }
            try remains.file("f", in: place)
            close(place)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("deep"))
        }
    }

    @Test func removesEveryNumber() async throws {
        try await Remains.with { remains in
            let place = try remains.directory("wide")
            for number in 0..<5_000 { try remains.file("f\(number)", in: place) }
            for number in 0..<200 {
                let inner = try remains.directory("d\(number)", in: place)
                try remains.file("f", in: inner)
                close(try remains.directory("e", in: inner))
                close(inner)
            }
            close(place)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("wide"))
        }
    }

    /// Directories that their owner locked himself out of, at each depth, and names that are no text.
    @Test func removesWhatIsLocked() async throws {
        try await Remains.with { remains in
            let outer = try remains.directory("locked")
            let middle = try remains.directory("\u{1}", in: outer)
            let inner = try remains.directory("c", in: middle)
            try remains.file("f", in: inner, mode: 0)
            let name: [CChar] = [0x61, -1, -2, 0]
            let descriptor = openat(inner, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            fchown(descriptor, remains.uid, remains.uid)
            close(descriptor)
            for place in [inner, middle, outer] {
                fchmod(place, 0)
                close(place)
            }
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("locked"))
        }
    }

    @Test func neverFollowsALink() async throws {
        try await Remains.with { remains in
            let kept = try remains.directory("kept", owner: 0)
            try remains.file("f", in: kept)
            let place = try remains.directory("links")
            for name in ["direct", "deep"] {
                symlinkat(remains.path("kept"), place, name)
                fchownat(place, name, remains.uid, remains.uid, AT_SYMLINK_NOFOLLOW)
            }
            close(place)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("links"))
            // In another's directory, where only a link led.
            #expect(faccessat(kept, "f", F_OK, 0) == 0)
            close(kept)
        }
    }

    /// Another's file is moved out for its owner's own removal; another's full directory cannot be, and that is told.
    @Test func leavesWhatIsAnothers() async throws {
        try await Remains.with { remains in
            let place = try remains.directory("shared")
            let other = remains.uid + 1
            try remains.file("theirs", in: place, owner: other)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("shared"))
            #expect(try remains.count(of: other) == 1)
            #expect(AgentRig.run(["kill", String(other)]) == 0)
            #expect(try remains.count(of: other) == 0)
            close(place)

            let again = try remains.directory("shared")
            let theirs = try remains.directory("theirs", in: again, owner: other)
            try remains.file("f", in: theirs, owner: other)
            fchmod(theirs, 0o700)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 1)
            #expect(faccessat(theirs, "f", F_OK, 0) == 0)
            unlinkat(theirs, "f", 0)
            unlinkat(again, "theirs", AT_REMOVEDIR)
            close(theirs)
            close(again)
            #expect(AgentRig.run(["kill", String(remains.uid)]) == 0)
            #expect(try !remains.exists("shared"))
        }
    }

    /// Somebody who is not killed (root here) writes on while the removal runs, until the directory is gone.
    @Test func removesWhatAppearsMeanwhile() async throws {
        try await Remains.with { remains in
            let place = try remains.directory("busy")
            for number in 0..<3_000 { try remains.file("f\(number)", in: place) }
            let uid = remains.uid
            let writer = NIOThreadPool.singleton.runIfActive(eventLoop: MultiThreadedEventLoopGroup.singleton.next()) {
                for number in 0..<5_000 {
                    let descriptor = openat(place, "late\(number)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                    if descriptor < 0 { break }
                    fchown(descriptor, uid, uid)
                    close(descriptor)
                }
            }
            var status = AgentRig.run(["kill", String(uid)])
            try writer.wait()
            // What root had made and not yet given away was another's, and is moved out or left; now it is not.
            if try status != 0 || remains.exists("busy") { status = AgentRig.run(["kill", String(uid)]) }
            close(place)
            #expect(status == 0)
            #expect(try !remains.exists("busy"))
        }
    }
}

/// What a child of a uid that nobody has left in a shared directory; removed on every path.
private struct Remains: Sendable {
    let uid: uid_t
    private let prefix: String
    /// In memory, as those of a machine are: ten thousand files on a disk take seconds.
    private static let root = "/dev/shm"

    private init() {
        uid = AgentRig.freshUID()
        prefix = "berth-remains-\(uid)-"
    }

    /// On a thread of its own kind: what blocks for seconds would starve the tests beside it.
    static func with(_ body: @escaping @Sendable (Remains) throws -> Void) async throws {
        try await AgentRig.blocking {
            let remains = Remains()
            defer { remains.clear() }
            try body(remains)
        }
    }

    func path(_ name: String) -> String { Self.root + "/" + prefix + name }

    /// Opens a directory that it makes.
    func directory(_ name: String, in parent: Int32? = nil, owner: uid_t? = nil) throws -> Int32 {
        let owner = owner ?? uid
        let (place, name) = parent.map { ($0, name) } ?? (AT_FDCWD, path(name))
        guard mkdirat(place, name, 0o777) == 0 else { throw POSIXProblem(step: "mkdir") }
        let descriptor = openat(place, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, fchown(descriptor, owner, owner) == 0, fchmod(descriptor, 0o777) == 0 else { throw POSIXProblem(step: "directory") }
        return descriptor
    }

    func file(_ name: String, in parent: Int32, owner: uid_t? = nil, mode: mode_t = 0o600) throws {
        let owner = owner ?? uid
        let descriptor = openat(parent, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, fchown(descriptor, owner, owner) == 0, fchmod(descriptor, mode) == 0 else { throw POSIXProblem(step: "file") }
        close(descriptor)
    }

    func exists(_ name: String) throws -> Bool {
        var info = stat()
        if lstat(path(name), &info) == 0 { return true }
        return try count(of: uid) > 0
    }

    /// Of entries of the shared directory.
    func count(of owner: uid_t) throws -> Int {
        guard let tmp = opendir(Self.root) else { throw POSIXProblem(step: Self.root) }
        defer { closedir(tmp) }
        var found = 0
        while let name = clinux_next_name(tmp) {
            var info = stat()
            if fstatat(dirfd(tmp), name, &info, AT_SYMLINK_NOFOLLOW) == 0, info.st_uid == owner { found += 1 }
        }
        return found
    }

    private func clear() {
        for owner in [uid, uid + 1] { _ = AgentRig.run(["kill", String(owner)]) }
        // What the test made as root.
        unlink(path("kept") + "/f")
        rmdir(path("kept"))
    }
}
