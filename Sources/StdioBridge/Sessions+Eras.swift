public import MCP
import NIOCore

/// A server of both eras is spoken to in its client's, where the child is that client's alone; what it says of itself may not be the same
/// in each. A client is told what it is in the one that its own child will speak.
extension Sessions {
    /// Proves that the server answers MCP, by a child that nobody has used yet; the next session takes it over.
    ///
    /// - Parameters:
    ///   - client: what the asker speaks; nil: whoever answers will do.
    ///   - capabilities: what the asker can be asked, which a server that starts for this is told.
    public func warm(
        for client: Era? = nil, declaring capabilities: ByteBuffer? = nil, completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void
    ) {
        if draining { return completion(.failure(Self.closed)) }
        let handshakeFirst = client.map { opensWithHandshake(for: $0) } ?? false
        let own = client.map { handshakeFirst ? .legacy : era ?? $0 }
        let proven = children.values.filter(\.isProven) + (spare?.isReady == true ? [spare].compactMap(\.self) : [])
        let hasRoom = spare != nil || seats.free > 0
        // Better the other era's word than none.
        if let child = proven.first(where: { own == nil || $0.era == own }) ?? (hasRoom ? nil : proven.first), let identity = child.identity {
            return completion(.success(identity))
        }
        dropEndedSpare()
        if client != nil, let other = spare, isOfOtherEra(other, handshakeFirst: handshakeFirst) {
            // It answers; what the server says of itself in the asker's era is known.
            if other.isReady, let own, let known = identities[own] { return completion(.success(known)) }
            spare = nil
            retire(other, "it was spoken to in the other era")
        }
        switch unused() {
        case .success(let child):
            if handshakeFirst, !child.back.isOpened { child.openWithHandshake(isKnownModern: era == .modern) }
            child.withIdentity(declaring: capabilities, completion)
            tendSeats()
        case .failure(let why): completion(.failure(why))
        }
    }

    /// What a process has shown of its server's era. Of what it did not say itself another one must show the same: it may have been ended
    /// by somebody.
    func learn(_ era: Era, from child: Child?) {
        // That it takes the handshake does not say that it would not answer a probe.
        if case .handshake = child?.opening, era == .legacy { return }
        let isGuessed = child?.back.isEraGuessed == true
        defer { guessedEra = isGuessed ? era : nil }
        if isGuessed, guessedEra != era { return }
        if case .handshake = child?.opening { refusesHandshake = true }
        self.era = era
    }

    /// The child that nobody has used yet.
    func unused() -> Result<Child, Undelivered> {
        if draining { return .failure(Self.closed) }
        dropEndedSpare()
        if let spare { return .success(spare) }
        guard seats.admits(.nobody) else { return .failure(Self.full) }
        let child = make(SessionKey(id: ""), for: .nobody)
        spare = child
        scheduleSweep()
        return .success(child)
    }

    /// What translation cannot carry is the questions of a server that answers both eras, and what it tells in one of them alone.
    func opensWithHandshake(for client: Era) -> Bool { client == .legacy && mayTakeHandshake }

    /// Nothing says yet that the handshake of a legacy client is in vain, or goes without saying.
    var mayTakeHandshake: Bool { limits.sharing == .session && limits.era == .auto && era != .legacy && !refusesHandshake }

    /// It has been opened, or waits to be, in another era than a session's own child would be.
    func isOfOtherEra(_ spare: Child, handshakeFirst: Bool) -> Bool {
        if spare.isOpenedByHandshake { return !handshakeFirst && era != .legacy }
        // The handshake was tried in vain: it speaks as it would to anybody.
        if spare.refusedHandshake { return false }
        return handshakeFirst && (spare.back.isOpened || !spare.isIdle)
    }
}
