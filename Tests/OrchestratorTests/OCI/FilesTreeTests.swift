import Glibc
import Testing

@testable import Orchestrator

/// Trees as a hostile package leaves them behind.
@Suite struct FilesTreeTests {
    /// Makes `depth` nested directories with names as long as names can be; answers an open one at the bottom.
    private func nest(_ root: String, depth: Int) -> Int32 {
        var current = open(root, O_RDONLY | O_DIRECTORY)
        for _ in 0..<depth {
            let name = String(repeating: "d", count: 250)
            mkdirat(current, name, 0o700)
            let next = openat(current, name, O_RDONLY | O_DIRECTORY)
            close(current)
            current = next
        }
        return current
    }

    private func write(_ directory: Int32, _ name: [UInt8], _ count: Int) {
        let bytes = name.map { CChar(bitPattern: $0) } + [0]
        let file = openat(directory, bytes, O_WRONLY | O_CREAT, 0o600)
        _ = Glibc.write(file, [UInt8](repeating: 1, count: count), count)
        close(file)
    }

    @Test("a tree goes whatever its names are, however deep it is and however much is in it")
    func removal() throws {
        let scratch = ImagesScratch()
        let tree = try scratch.directory("tree")
        let outside = try scratch.file("outside/kept", "kept")
        // No UTF-8; a path of 25 KiB; what our own names for moved directories would meet; a directory nobody may enter.
        let root = open(tree, O_RDONLY | O_DIRECTORY)
        mkdirat(root, [-1, -2, 0], 0o700)
        write(root, [0xFF, 0xC3], 10)
        let deep = nest(tree, depth: 100)
        write(deep, Array("deep".utf8), 10)
        symlinkat(scratch.path + "/outside", deep, "out")
        close(deep)
        try scratch.file("tree/.berth-remove-1", "taken")
        try scratch.file("tree/.berth-remove-2/full", "taken")
        symlink(scratch.path + "/outside", tree + "/out")
        for index in 0..<3_000 { write(root, Array("many-\(index)".utf8), 0) }
        mkdirat(root, "closed", 0o000)
        close(root)
        try Files.removeTree(tree)
        #expect(Files.status(tree) == nil)
        #expect(Files.read(outside) == "kept")
        try Files.removeTree(tree)
    }

    @Test("what a tree takes is seen wherever it hides")
    func diskUse() throws {
        let scratch = ImagesScratch()
        let tree = try scratch.directory("tree")
        #expect(Files.diskUse(tree) == 0 && Files.diskUse(tree + "/none") == 0)
        let root = open(tree, O_RDONLY | O_DIRECTORY)
        mkdirat(root, [-1, -2, 0], 0o700)
        let hidden = openat(root, [-1, -2, 0], O_RDONLY | O_DIRECTORY)
        write(hidden, [0xFE], 1 << 20)
        close(hidden)
        #expect(Files.diskUse(tree) >= 1 << 20)
        let deep = nest(tree, depth: 60)
        write(deep, [1], 1 << 20)
        close(deep)
        #expect(Files.diskUse(tree) >= 2 << 20)
        let before = Files.diskUse(tree)
        for index in 0..<100 { write(root, Array("empty-\(index)".utf8), 0) }
        #expect(Files.diskUse(tree) >= before + 100 * 1_024, "records of files are not free")
        close(nest(tree, depth: 130))
        #expect(Files.diskUse(tree) == .max)
        close(root)
    }
}
