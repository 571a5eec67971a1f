import NIOCore
import NIOSSL

/// Why a server's TLS was not accepted, for people: what is wrong and what to do about it.
public enum TLSFailure: String, Error, Sendable, CaseIterable {
    case untrusted = "the server's certificate is signed by nobody whom this host trusts"
    case expired = "the server's certificate has expired"
    case notYetValid = "the server's certificate is not valid yet"
    case wrongHost = "the server's certificate is made for another host"
    case noTLS = "the server does not speak TLS"
    case noAgreement = "the server and this client agree on no kind of TLS"
    case roots = "the certificates of the authorities that this host trusts cannot be read"

    public var remedy: String {
        switch self {
        case .untrusted: "name the file with its authority's certificate in SSL_CERT_FILE, or install the package ca-certificates"
        case .expired: "its operator has to renew it; until then nobody can tell who answers"
        case .notYetValid: "is the clock of this host right?"
        case .wrongHost: "give the URL with the name that the certificate is made for"
        case .noTLS: "is it an http:// URL, or another port?"
        case .noAgreement: "it needs TLS 1.2 or later"
        case .roots: "SSL_CERT_FILE must name a readable file of PEM certificates; without it the package ca-certificates is needed"
        }
    }

    /// The one that `text`, a failure's reason, tells of.
    public init?(in text: String) {
        guard let found = Self.allCases.first(where: { text.contains($0.rawValue) }) else { return nil }
        self = found
    }

    /// - Parameters:
    ///   - error: NIOSSL's.
    ///   - certificate: the server's own, as far as it has shown one.
    ///   - now: seconds since 1970.
    init?(_ error: any Error, certificate: NIOSSLCertificate?, now: Int) {
        if let extra = error as? NIOSSLExtraError, extra == .failedToValidateHostname {
            self = .wrongHost
            return
        }
        guard case .handshakeFailed(let cause)? = error as? NIOSSLError else { return nil }
        // The library tells no more than that it does not accept the chain.
        let text = "\(cause)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            if let certificate, certificate.notValidAfter < now {
                self = .expired
            } else if let certificate, certificate.notValidBefore > now {
                self = .notYetValid
            } else {
                self = .untrusted
            }
        } else if ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "INVALID_"].contains(where: text.contains) {
            self = .noTLS
        } else if ["PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "HANDSHAKE_FAILURE", "NO_SHARED_CIPHER"].contains(where: text.contains) {
            self = .noAgreement
        } else {
            return nil
        }
    }
}

extension TLSFailure: CustomStringConvertible {
    public var description: String { "\(rawValue); \(remedy)" }
}
