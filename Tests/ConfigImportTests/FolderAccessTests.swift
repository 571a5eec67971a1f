import Testing

@testable import ConfigImport

/// What goes into an image of a folder that root reads for somebody.
@Suite struct FolderAccessTests {
    private typealias Entry = FolderAccess.Entry

    @Test(arguments: [
        // Owner, mode, links; owner of its directory; taken of a folder that was typed, of one that a file names.
        (1_000, 0o644, 1, 1_000, true, true), (0, 0o644, 1, 1_000, true, true), (1_001, 0o604, 3, 1_001, true, true),
        (1_000, 0o600, 1, 1_000, true, false), (1_000, 0o640, 1, 1_000, true, false), (1_000, 0o600, 2, 1_000, false, false),
        (1_000, 0o600, 1, 1_001, false, false), (0, 0o640, 1, 0, false, false), (1_001, 0o600, 1, 1_001, false, false),
        (1_001, 0o662, 1, 1_001, false, false),
    ])
    func files(owner: UInt32, mode: UInt32, links: UInt64, directory: UInt32, typed: Bool, named: Bool) {
        let (file, place) = (Entry(owner: owner, mode: mode, links: links), Entry(owner: directory, mode: 0o755))
        #expect(FolderAccess(caller: 1_000, isNamedByFile: false).mayTake(file, in: place) == typed)
        #expect(FolderAccess(caller: 1_000, isNamedByFile: true).mayTake(file, in: place) == named)
    }

    @Test(arguments: [
        (1_000, 0o755, true, true), (0, 0o755, true, true), (1_000, 0o700, true, false), (0, 0o700, false, false), (1_001, 0o751, false, false),
        (1_001, 0o754, false, false),
    ])
    func directories(owner: UInt32, mode: UInt32, typed: Bool, named: Bool) {
        #expect(FolderAccess(caller: 1_000, isNamedByFile: false).mayTake(directory: Entry(owner: owner, mode: mode)) == typed)
        #expect(FolderAccess(caller: 1_000, isNamedByFile: true).mayTake(directory: Entry(owner: owner, mode: mode)) == named)
    }

    @Test(arguments: [(1_000, 0o700, true), (0, 0o755, true), (0, 0o711, true), (0, 0o700, false), (1_001, 0o750, false)])
    func theWayThere(owner: UInt32, mode: UInt32, named: Bool) {
        #expect(FolderAccess(caller: 1_000, isNamedByFile: true).mayPass(Entry(owner: owner, mode: mode)) == named)
        #expect(FolderAccess(caller: 1_000, isNamedByFile: false).mayPass(Entry(owner: owner, mode: mode)))
    }
}
