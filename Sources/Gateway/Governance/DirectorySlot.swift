/// The directory as one loop sees it now. Confined to the loop.
final class DirectorySlot {
    var current = Directory.empty

    /// What a token allows now; nil when it is unknown or has expired.
    func grant(_ digest: TokenDigest, now: Int64) -> Grant? {
        guard let grant = current.grants[digest], grant.isCurrent(at: now) else { return nil }
        return grant
    }
}

extension Grant {
    func isCurrent(at now: Int64) -> Bool { expiresAt.map { now < $0 } ?? true }
}
