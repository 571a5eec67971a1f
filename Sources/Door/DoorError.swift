import Sealing

/// What is wrong with a document or body of the private hop. Names the member, never its value.
public enum DoorError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not the form it should have; `field` is a member's path or `document`.
    case malformed(field: String)
    /// Above its bound.
    case tooLarge(field: String, limit: Int)
    /// It did not seal or open.
    case sealing(SealingError)

    public var description: String {
        switch self {
        case .malformed(let field): "\(field): malformed"
        case .tooLarge(let field, let limit): "\(field): larger than \(limit) bytes"
        case .sealing(let error): "sealing: \(error)"
        }
    }
}
