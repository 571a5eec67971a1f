import Glibc

/// Work on whole trees whoever wrote them: nothing is followed, and no mount is entered.
public enum HostFiles {
    /// Removes a file or a tree; what is not there is no error.
    public static func remove(_ path: String) throws { try Files.removeTree(path) }

    /// What a file or a tree takes on its disk, in bytes.
    public static func bytes(_ path: String) -> Int {
        guard let status = Files.status(path) else { return 0 }
        return Int(status.st_blocks) * 512 + (Files.isDirectory(path) ? Files.diskUse(path) : 0)
    }
}
