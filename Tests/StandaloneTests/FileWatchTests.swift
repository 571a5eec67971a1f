import Glibc
import Testing

@testable import Standalone
@testable import StdioBridge

@Suite struct FileWatchTests {
    private func look(_ files: [String: Int]) -> TreeScan {
        TreeScan(files: files.mapValues { TreeScan.Stamp(seconds: $0, nanoseconds: 0, size: 0, inode: 0) })
    }

    @Test func aChangeIsToldOnceItHasComeToRest() {
        var watch = FileWatch(look(["a": 1, "b": 1]))
        let steps: [([String: Int], FileWatch.Event?)] = [
            (["a": 1, "b": 1], nil), (["a": 1, "b": 2], nil), (["a": 2, "b": 3], nil), (["a": 2, "b": 3], .changed("b")),
            (["a": 2, "b": 3], nil), (["b": 3], nil), (["b": 3], .changed("a")), (["b": 3, "c": 1], nil), (["b": 3, "c": 1], .changed("c")),
        ]
        for (index, step) in steps.enumerated() { #expect(watch.looked(look(step.0)) == step.1, "step \(index)") }
    }

    @Test func whatIsLookedAt() throws {
        var template = Array("/tmp/berth-watch-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folders = ["a", "a/b", ".git", "node_modules", "a/__pycache__", ".venv"]
        let files = ["server.py", ".env", "a/x", "a/b/y", ".git/HEAD", "node_modules/m.js", "a/__pycache__/c.pyc", ".venv/z"]
        for folder in folders { mkdir(root + "/" + folder, 0o755) }
        for file in files { close(open(root + "/" + file, O_CREAT | O_WRONLY, 0o644)) }
        symlink(root, root + "/loop")
        symlink(root + "/server.py", root + "/link")
        defer {
            for file in files + ["loop", "link"] { unlink(root + "/" + file) }
            for folder in folders.sorted(by: >) { rmdir(root + "/" + folder) }
            rmdir(root)
        }
        let scan = TreeScan.scan(root)
        #expect(scan.files.keys.sorted() == [".env", "a/b/y", "a/x", "link", "server.py"] && !scan.isCut)
        #expect(scan == TreeScan.scan(root))
        let cut = TreeScan.scan(root, limit: 2)
        #expect(cut.files.count == 2 && cut.isCut && cut == TreeScan.scan(root, limit: 2))
        #expect(TreeScan.scan(root + "/nowhere").files.isEmpty)
    }
}
