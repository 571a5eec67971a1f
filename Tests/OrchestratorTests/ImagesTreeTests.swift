import Foundation
import Glibc
import MachineAPI
import TestSupport
import Testing

@testable import Orchestrator

@Suite struct ImagesTreeTests {
    @Test func anArchiveIsTheOneThatTarMakes() async throws {
        let scratch = ImagesScratch()
        let long = String(repeating: "d", count: 80)
        try scratch.file("tree/b/file", "hello", mode: 0o755)
        try scratch.file("tree/b.txt", String(repeating: "x", count: 512))
        try scratch.file("tree/B", String(repeating: "y", count: 513))
        try scratch.file("tree/empty")
        try scratch.file("tree/\(long)/\(long)/file-with-a-long-path", "long")
        try scratch.file("tree/ünicode/ä", "u")
        try Files.makeDirectories(scratch.path + "/tree/none", mode: 0o755)
        symlink("b/file", scratch.path + "/tree/link")
        // Several names of one file: short, and too long for a header.
        link(scratch.path + "/tree/b/file", scratch.path + "/tree/a-name")
        link(scratch.path + "/tree/\(long)/\(long)/file-with-a-long-path", scratch.path + "/tree/ünicode/same")
        symlink(String(repeating: "../", count: 40) + "x", scratch.path + "/tree/long-link")
        for edge in [98, 99, 100, 101] { try scratch.file("tree/" + String(repeating: "e", count: edge - 2), "e") }

        let ours = scratch.path + "/ours.tar"
        let output = open(ours, O_WRONLY | O_CREAT, 0o600)
        let digest = try LayerArchive.digest(of: scratch.path + "/tree") { try Files.writeAll(output, $0, ours) }
        close(output)
        let theirs = scratch.path + "/theirs.tar"
        let tar = try await imagesRun([
            "tar", "--format=gnu", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C", scratch.path + "/tree", "-cf",
            theirs, ".",
        ])
        #expect(tar.isSuccess, "\(tar.text)")
        #expect(try FileDigest.hex(ours) == digest.hex)
        #expect(try FileDigest.hex(theirs) == digest.hex)
        #expect(Files.status(theirs)?.st_size == digest.size)
    }

    @Test func aCopyKeepsContentAndTheExecuteBitAndNothingElse() throws {
        let scratch = ImagesScratch()
        try scratch.file("from/tool", "run", mode: 0o4751)
        try scratch.file("from/private/data", "secret", mode: 0o600)
        chmod(scratch.path + "/from/private", 0o2700)
        chown(scratch.path + "/from/tool", 12345, 12345)
        link(scratch.path + "/from/tool", scratch.path + "/from/same")
        symlink("private/data", scratch.path + "/from/near")
        let to = try scratch.directory("to")
        var copy = TreeCopy(limits: TreeLimits())
        try copy.copy(scratch.path + "/from", to: to)

        let tool = try #require(Files.status(to + "/tool"))
        #expect(tool.st_mode & 0o7777 == 0o755)
        #expect(tool.st_uid == 0 && tool.st_nlink == 1)
        #expect(Files.status(to + "/private")?.st_mode == S_IFDIR | 0o755)
        #expect(Files.status(to + "/private/data")?.st_mode == S_IFREG | 0o644)
        #expect(Files.read(to + "/same") == "run")
        #expect(Files.status(to + "/near").map { $0.st_mode & S_IFMT } == S_IFLNK)
    }

    @Test func aCopyMayKeepTheNamesOfOneFileTogether() throws {
        let scratch = ImagesScratch()
        try scratch.file("from/bin/tool", String(repeating: "x", count: 1_000), mode: 0o4755)
        for name in ["a", "bin/b", "z/z/c"] {
            try Files.makeDirectories(Disk.parent(scratch.path + "/from/" + name), mode: 0o755)
            link(scratch.path + "/from/bin/tool", scratch.path + "/from/" + name)
        }
        let to = try scratch.directory("to")
        // Counted once.
        var copy = TreeCopy(limits: TreeLimits(bytes: 1_500), keepsHardLinks: true)
        try copy.copy(scratch.path, below: "from", to: to)
        let inodes = Set(["bin/tool", "a", "bin/b", "z/z/c"].compactMap { Files.status(to + "/" + $0)?.st_ino })
        #expect(inodes.count == 1 && copy.bytes == 1_000)
        #expect(Files.status(to + "/a")?.st_mode == S_IFREG | 0o755 && Files.status(to + "/a")?.st_nlink == 4)
        let failure = try #require(throws: ImageBuildFailure.self) {
            var each = TreeCopy(limits: TreeLimits(bytes: 1_500))
            try each.copy(scratch.path, below: "from", to: try scratch.directory("each"))
        }
        #expect(failure.error == "image_too_large")
    }

    @Test(.enabled(if: SmallDisk.isPossible, "a small file system needs root"))
    func aCopyLeavesRoomOnTheDisk() async throws {
        let scratch = ImagesScratch()
        for number in 0..<6 { try scratch.file("from/\(number)", String(repeating: "x", count: 20 << 20)) }
        let from = scratch.path
        let (error, free, total) = try await SmallDisk.run(bytes: 100 << 20) { folder in
            var copy = TreeCopy(limits: TreeLimits())
            var code: String?
            do { try copy.copy(from, below: "from", to: folder) } catch { code = (error as? ImageBuildFailure)?.error }
            var space = statvfs()
            statvfs(folder, &space)
            return (code, Int(space.f_bavail) * Int(space.f_frsize), Int(space.f_blocks) * Int(space.f_frsize))
        }
        #expect(error == "low_disk" && free >= total / 16, "\(error ?? "none") \(free) of \(total)")
    }

    @Test(arguments: ["absolute", "escaping", "fifo", "device", "socket", "whiteout"])
    func aCopyRefuses(_ what: String) throws {
        let scratch = ImagesScratch()
        let from = try scratch.directory("from")
        switch what {
        case "absolute": symlink("/etc/passwd", from + "/x")
        case "escaping": symlink("../x", from + "/x")
        case "fifo": mkfifo(from + "/x", 0o600)
        case "device": mknod(from + "/x", S_IFCHR | 0o600, dev_t(0))
        case "socket": mknod(from + "/x", S_IFSOCK | 0o600, 0)
        default: try scratch.file("from/.wh.x")
        }
        let to = try scratch.directory("to")
        let failure = try #require(throws: ImageBuildFailure.self) {
            var copy = TreeCopy(limits: TreeLimits())
            try copy.copy(from, to: to)
        }
        #expect(failure.error == "unsafe_content")
    }

    @Test func aCopyEndsAtItsLimits() throws {
        let scratch = ImagesScratch()
        let from = try scratch.directory("from")
        let file = open(from + "/sparse", O_WRONLY | O_CREAT, 0o600)
        ftruncate(file, 1 << 40)
        close(file)
        #expect(throws: ImageBuildFailure.self) {
            var copy = TreeCopy(limits: TreeLimits(bytes: 1 << 20))
            try copy.copy(from, to: try scratch.directory("a"))
        }
        unlink(from + "/sparse")
        for index in 0..<5 { try scratch.file("from/\(index)") }
        #expect(throws: ImageBuildFailure.self) {
            var copy = TreeCopy(limits: TreeLimits(entries: 4))
            try copy.copy(from, to: try scratch.directory("b"))
        }
        try scratch.file("from/1d/2/3/4/x")
        #expect(throws: ImageBuildFailure.self) {
            var copy = TreeCopy(limits: TreeLimits(depth: 3))
            try copy.copy(from, to: try scratch.directory("c"))
        }
    }

    @Test(arguments: [
        ("a", 0, true), ("../a", 1, true), ("../a", 0, false), ("a/../b", 3, false), ("./a", 0, true), ("/a", 5, false), ("", 1, false),
        ("../../..", 3, true), ("../../../..", 3, false), ("..", 0, false),
    ])
    func aLinkStaysInside(_ target: String, _ depth: Int, _ expected: Bool) {
        #expect(TreeCopy.staysInside(target, depth: depth) == expected)
    }
}
