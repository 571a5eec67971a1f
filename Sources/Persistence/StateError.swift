import Glibc

/// What is wrong with state on disk: one line for people, with what to do about it. Holds no secret.
public struct StateError: Error, Sendable, CustomStringConvertible {
    /// Stable kinds.
    public enum Code: String, Sendable {
        /// A directory or file that others may read or write.
        case wideMode = "wide_mode"
        /// It belongs to somebody else.
        case wrongOwner = "wrong_owner"
        /// It cannot be written.
        case readOnly = "read_only"
        /// A newer version of Berth wrote it.
        case newerVersion = "newer_version"
        /// It is not what it should be (a file for a directory, a damaged database, a broken key file).
        case damaged
        /// The key file is gone while sealed values exist.
        case missingKeys = "missing_keys"
        /// A value was sealed with a key that the ring does not hold.
        case unknownKey = "unknown_key"
        /// A sealed value did not open: changed, or of another row.
        case notAuthentic = "not_authentic"
        /// No space left.
        case diskFull = "disk_full"
        /// Any other failure of the file system or database.
        case failed
    }

    public var code: Code
    public var message: String
    /// What to do.
    public var remedy: String?

    public init(_ code: Code, _ message: String, remedy: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }

    public var description: String { remedy.map { "\(message): \($0)" } ?? message }

    /// A failed system call on `path`.
    static func system(_ number: Int32, _ verb: String, _ path: String) -> StateError {
        let text = String(cString: strerror(number))
        switch number {
        case EROFS, EACCES, EPERM:
            return StateError(.readOnly, "cannot \(verb) \(path): \(text)", remedy: "make it writable for uid \(geteuid())")
        case ENOSPC, EDQUOT: return StateError(.diskFull, "cannot \(verb) \(path): \(text)", remedy: "free space on its disk")
        default: return StateError(.failed, "cannot \(verb) \(path): \(text)")
        }
    }
}
