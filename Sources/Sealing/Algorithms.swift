import COpenSSL

/// Algorithms fetched from libcrypto once: an implicit fetch at each use costs more than the operation itself.
///
/// `nonisolated(unsafe)`: libcrypto's fetched objects are immutable and reference counted atomically.
enum Algorithms {
    nonisolated(unsafe) static let hmac: OpaquePointer? = EVP_MAC_fetch(nil, "HMAC", nil)
    nonisolated(unsafe) static let hkdf: OpaquePointer? = EVP_KDF_fetch(nil, "HKDF", nil)
    nonisolated(unsafe) static let sha256: OpaquePointer? = EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) static let aes256gcm: OpaquePointer? = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
}

/// An address that libcrypto accepts for an empty input (it takes NULL for "reuse the former value" in places).
func address(of bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8>? {
    bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
}

/// Names of libcrypto's parameters. `OSSL_PARAM` keeps the pointer to its name, so the imported macros (whose Swift
/// strings live for one call) will not do.
enum Parameter {
    static var digest: UnsafePointer<CChar> { pointer("digest") }
    static var key: UnsafePointer<CChar> { pointer("key") }
    static var salt: UnsafePointer<CChar> { pointer("salt") }
    static var info: UnsafePointer<CChar> { pointer("info") }

    private static func pointer(_ name: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
