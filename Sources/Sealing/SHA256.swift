import COpenSSL

/// SHA-256, incremental with a reused context, or of one value.
///
/// An instance is confined to one thread or loop.
public final class SHA256 {
    /// Bytes of a digest.
    public static let size = 32

    private let context: OpaquePointer
    private var started = false

    /// - Throws: ``SealingError/library``.
    public init() throws(SealingError) {
        guard let context = EVP_MD_CTX_new() else { throw .library }
        self.context = context
        guard let digest = Algorithms.sha256, EVP_DigestInit_ex2(context, digest, nil) == 1 else { throw .library }
        started = true
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Takes in the next bytes.
    public func update(_ bytes: UnsafeRawBufferPointer) throws(SealingError) {
        if !started {
            guard EVP_DigestInit_ex2(context, nil, nil) == 1 else { throw .library }
            started = true
        }
        guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else { throw .library }
    }

    /// Takes in the next bytes.
    public func update(_ bytes: [UInt8]) throws(SealingError) {
        var failure: SealingError?
        bytes.withUnsafeBytes { buffer in
            do throws(SealingError) { try update(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// The digest of everything since the last `finish`; the next `update` starts anew.
    public func finish() throws(SealingError) -> [UInt8] {
        if !started {
            guard EVP_DigestInit_ex2(context, nil, nil) == 1 else { throw .library }
        }
        var digest = [UInt8](repeating: 0, count: Self.size)
        started = false
        guard EVP_DigestFinal_ex(context, &digest, nil) == 1 else { throw .library }
        return digest
    }

    /// The digest of `bytes`.
    public static func digest(_ bytes: [UInt8]) throws(SealingError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: size)
        guard EVP_Digest(bytes, bytes.count, &digest, nil, Algorithms.sha256, nil) == 1 else { throw .library }
        return digest
    }

    /// The digest of `text` in lower-case hex.
    public static func hex(_ text: String) throws(SealingError) -> String {
        Hex.encode(try digest(Array(text.utf8)))
    }
}
