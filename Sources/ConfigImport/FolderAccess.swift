/// Which parts of a folder may go into an image, where root reads it for somebody: what everybody on this host may read, and what is the
/// caller's own. An image has its files open to all of its server's code, which others may have written.
public struct FolderAccess: Sendable {
    /// Owner and mode, as `stat` has them.
    public struct Entry: Sendable {
        public var owner: UInt32
        /// The nine bits of a mode; more are passed over.
        public var mode: UInt32
        /// Names that it has.
        public var links: UInt64

        public init(owner: UInt32, mode: UInt32, links: UInt64 = 1) {
            self.owner = owner
            self.mode = mode
            self.links = links
        }

        var isReadable: Bool { mode & 0o004 != 0 }
        /// A directory whose names may be read, and its entries reached.
        var isOpen: Bool { mode & 0o005 == 0o005 }
    }

    /// The user for whom the command runs, behind sudo too.
    public let caller: UInt32
    /// The folder stands in a file that somebody else may have written, and was not typed by who runs the command: of that one's own files,
    /// too, those that others may not read stay where they are.
    public let isNamedByFile: Bool

    public init(caller: UInt32, isNamedByFile: Bool) {
        self.caller = caller
        self.isNamedByFile = isNamedByFile
    }

    /// - Parameter directory: the one that it lies in.
    public func mayTake(_ file: Entry, in directory: Entry) -> Bool {
        if file.isReadable { return true }
        // A name of a private file in somebody else's directory, or a further one, may have been put there for us to read it.
        return !isNamedByFile && file.owner == caller && directory.owner == caller && file.links == 1
    }

    /// A directory within the folder.
    public func mayTake(directory: Entry) -> Bool { directory.isOpen || !isNamedByFile && directory.owner == caller }

    /// The folder itself, or a directory above it: nobody's but the caller's may be closed to others.
    public func mayPass(_ directory: Entry) -> Bool { !isNamedByFile || directory.mode & 0o001 != 0 || directory.owner == caller }
}
