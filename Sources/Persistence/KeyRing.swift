import Sealing

/// The keys that seal secrets at rest, and the master that app roots come from: a 0600 file, several keys readable and
/// one writing.
///
/// A sealed value is `1 ‖ length ‖ key id ‖ nonce ‖ ciphertext ‖ tag`, authenticated together with the identity of its
/// row: a value copied to another row does not open.
public struct KeyRing: Sendable {
    /// A key with its id.
    public struct Key: Sendable {
        public let id: String
        public let secret: Secret
    }

    /// The file.
    public let path: String
    /// Readable keys, oldest first; the last one writes.
    public private(set) var keys: [Key]
    /// Masters, oldest first; new app roots come from the last one.
    public private(set) var masters: [Key]

    private static let heading = "berth-keys 1"
    private static let form: UInt8 = 1

    /// Reads the ring at `path`.
    ///
    /// - Parameter createIfAbsent: pass false where sealed values exist already: fresh keys would open none of them.
    /// - Throws: ``StateError`` with `missing_keys`, `wide_mode`, `wrong_owner`, `damaged`.
    public init(path: String, createIfAbsent: Bool = true) throws(StateError) {
        self.path = path
        if let bytes = try PrivateFile.read(path, limit: 65_536) {
            (keys, masters) = try Self.parse(bytes, path)
            return
        }
        guard createIfAbsent else {
            throw StateError(
                .missingKeys, "\(path) is missing, and without it the sealed secrets cannot be opened", remedy: "restore it from a backup")
        }
        keys = [try Self.newKey("k")]
        masters = [try Self.newKey("m")]
        if !(try PrivateFile.create(path, text)) {
            // Somebody else was first: theirs is the ring.
            guard let bytes = try PrivateFile.read(path, limit: 65_536) else { throw StateError(.failed, "\(path) came and went") }
            (keys, masters) = try Self.parse(bytes, path)
        }
    }

    /// The key that writes.
    public var writing: Key { keys[keys.count - 1] }

    /// The master for new app roots. An app created under an older one keeps it: see ``master(_:)``.
    public var master: Key { masters[masters.count - 1] }

    /// The master by id, for apps created under it.
    public func master(_ id: String) -> Key? { masters.first { $0.id == id } }

    /// Seals `plaintext` for the row (and column) named by `identity`.
    public func seal(_ plaintext: [UInt8], identity: String) throws(StateError) -> [UInt8] {
        let key = writing
        do {
            return Self.prefix(key.id) + (try AEADKey(key.secret).seal(plaintext, aad: Self.aad(key.id, identity)))
        } catch {
            throw StateError(.failed, "cannot seal \(identity): \(error)")
        }
    }

    /// Opens a value that was sealed for the same `identity`, by whichever readable key.
    ///
    /// - Throws: ``StateError`` with `unknown_key`, `not_authentic` or `damaged`.
    public func open(_ sealed: [UInt8], identity: String) throws(StateError) -> [UInt8] {
        guard let id = Self.keyID(of: sealed) else { throw StateError(.damaged, "the sealed value of \(identity) is damaged") }
        guard let key = keys.first(where: { $0.id == id }) else {
            throw StateError(.unknownKey, "\(identity) is sealed with key \(id), which \(path) lacks", remedy: "restore the key file")
        }
        do {
            return try AEADKey(key.secret).open(Array(sealed.dropFirst(2 + id.utf8.count)), aad: Self.aad(id, identity))
        } catch {
            throw StateError(.notAuthentic, "the sealed value of \(identity) does not open: changed, or of another row")
        }
    }

    /// Which key sealed a value; for the progress of a rotation.
    public static func keyID(of sealed: [UInt8]) -> String? {
        guard sealed.count > 2, sealed[0] == form, sealed.count >= 2 + Int(sealed[1]) else { return nil }
        return String(validating: sealed[2..<(2 + Int(sealed[1]))], as: UTF8.self)
    }

    /// A key of its own for one purpose (fingerprints, sealed request state), from the present master.
    public func derived(_ purpose: String) throws(StateError) -> Secret {
        do {
            return try hkdf(master.secret, info: Array("berth/key-ring/\(purpose)/v1".utf8))
        } catch {
            throw StateError(.failed, "cannot derive the key for \(purpose)")
        }
    }

    /// Adds a key, which writes from now on, and saves the ring before returning.
    public mutating func addKey() throws(StateError) {
        var ring = self
        ring.keys.append(try Self.newKey("k"))
        try PrivateFile.replace(path, ring.text)
        self = ring
    }

    /// Removes a key that seals nothing any more. The writing key stays.
    public mutating func removeKey(_ id: String) throws(StateError) {
        guard id != writing.id else { throw StateError(.failed, "key \(id) is the writing key") }
        var ring = self
        ring.keys.removeAll { $0.id == id }
        try PrivateFile.replace(path, ring.text)
        self = ring
    }

    private static func newKey(_ kind: String) throws(StateError) -> Key {
        do {
            return Key(id: kind + Hex.encode(try randomBytes(4)), secret: Secret(try randomBytes(32)))
        } catch {
            throw StateError(.failed, "the system gave no random bytes")
        }
    }

    private static func prefix(_ id: String) -> [UInt8] { [form, UInt8(id.utf8.count)] + Array(id.utf8) }

    private static func aad(_ id: String, _ identity: String) -> [UInt8] { prefix(id) + Array(identity.utf8) }

    private var text: [UInt8] {
        var lines = [Self.heading]
        for master in masters { lines.append("master \(master.id) \(Base64URL.encode(master.secret.copy))") }
        for key in keys { lines.append("key \(key.id) \(Base64URL.encode(key.secret.copy))") }
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    private static func parse(_ bytes: [UInt8], _ path: String) throws(StateError) -> (keys: [Key], masters: [Key]) {
        let damaged = StateError(.damaged, "\(path) is not a key file", remedy: "restore it from a backup")
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 2, lines.removeFirst() == heading, lines.removeLast().isEmpty else { throw damaged }
        var keys: [Key] = []
        var masters: [Key] = []
        for line in lines {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 3, (1...64).contains(words[1].utf8.count), let secret = Base64URL.decode(String(words[2])), secret.count == 32
            else { throw damaged }
            let key = Key(id: String(words[1]), secret: Secret(secret))
            switch words[0] {
            case "key": keys.append(key)
            case "master": masters.append(key)
            default: throw damaged
            }
        }
        guard !keys.isEmpty, !masters.isEmpty, Set((keys + masters).map(\.id)).count == keys.count + masters.count else { throw damaged }
        return (keys, masters)
    }
}
