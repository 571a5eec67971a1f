/// Why a cryptographic operation gave no result. Carries no key, plaintext or ciphertext.
public enum SealingError: Error, Sendable, Equatable {
    /// The value did not open: another key, another row, or changed bytes. One case for all three, on purpose.
    case authentication
    /// The value is too short or has an unknown form.
    case malformed
    /// A key or value has a size that the algorithm or a bound of ours refuses.
    case size
    /// libcrypto refused; it does so only without memory or entropy.
    case library
}
