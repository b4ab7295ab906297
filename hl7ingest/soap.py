"""SOAP 1.1 around a message: `acceptMessage(arg0)` in, `acceptMessageResponse/return` out.

Source: hl7-api, the SOAP envelope. Names are those that a sender of the published API has built
its client for.
"""

from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_SERVICE = "http://wsssl.hl7api.patientsknowbest.com/"
CONTENT_TYPE = "text/xml; charset=utf-8"


class BadEnvelope(Exception):
    """What came is no SOAP envelope with an `acceptMessage` in it; the text says why."""


def read(body: bytes) -> str:
    """Return the HL7 text of an envelope. Entities and DTDs are refused, nothing is fetched."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise BadEnvelope("DTDs and entities are not allowed") from None
    except (ParseError, ValueError, LookupError):
        raise BadEnvelope("The XML is not well-formed") from None
    if root.tag != f"{{{_ENVELOPE}}}Envelope":
        raise BadEnvelope("The root must be a SOAP 1.1 Envelope")
    operation = _only(root.findall(f"{{{_ENVELOPE}}}Body/*"))
    argument = _only(list(operation)) if operation is not None else None
    if (
        operation is None
        or argument is None
        or operation.tag != f"{{{_SERVICE}}}acceptMessage"
        or argument.tag not in {"arg0", f"{{{_SERVICE}}}arg0"}
    ):
        raise BadEnvelope(f"The Body must hold one acceptMessage of {_SERVICE} with one arg0")
    if len(argument):
        raise BadEnvelope("arg0 holds elements: escape the message, or put it in CDATA")
    return argument.text or ""


def _only(elements: list[Element]) -> Element | None:
    return elements[0] if len(elements) == 1 else None


def answer(text: str) -> bytes:
    """Return the envelope with an acknowledgement; segment ends survive the XML."""
    inner = escape(text, {"\r": "&#13;"})
    return _envelope(
        f'<ns2:acceptMessageResponse xmlns:ns2="{_SERVICE}"><return>{inner}</return>'
        "</ns2:acceptMessageResponse>"
    )


def fault(code: str, reason: str) -> bytes:
    """Return a SOAP Fault; `code` is Client or Server."""
    return _envelope(
        f"<soap:Fault><faultcode>soap:{code}</faultcode>"
        f"<faultstring>{escape(reason)}</faultstring></soap:Fault>"
    )


def _envelope(inner: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soap:Envelope xmlns:soap="{_ENVELOPE}"><soap:Body>{inner}</soap:Body></soap:Envelope>'
    ).encode()


def wsdl(address: str) -> bytes:
    """Return the service's description, with `address` as its endpoint."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="HL7Service" targetNamespace="{_SERVICE}" xmlns:tns="{_SERVICE}"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <wsdl:types>
    <xsd:schema targetNamespace="{_SERVICE}" elementFormDefault="unqualified">
      <xsd:element name="acceptMessage" type="tns:acceptMessage"/>
      <xsd:element name="acceptMessageResponse" type="tns:acceptMessageResponse"/>
      <xsd:complexType name="acceptMessage"><xsd:sequence>
        <xsd:element name="arg0" type="xsd:string" minOccurs="0"/>
      </xsd:sequence></xsd:complexType>
      <xsd:complexType name="acceptMessageResponse"><xsd:sequence>
        <xsd:element name="return" type="xsd:string" minOccurs="0"/>
      </xsd:sequence></xsd:complexType>
    </xsd:schema>
  </wsdl:types>
  <wsdl:message name="acceptMessage">
    <wsdl:part name="parameters" element="tns:acceptMessage"/>
  </wsdl:message>
  <wsdl:message name="acceptMessageResponse">
    <wsdl:part name="parameters" element="tns:acceptMessageResponse"/>
  </wsdl:message>
  <wsdl:portType name="HL7">
    <wsdl:operation name="acceptMessage">
      <wsdl:input message="tns:acceptMessage"/>
      <wsdl:output message="tns:acceptMessageResponse"/>
    </wsdl:operation>
  </wsdl:portType>
  <wsdl:binding name="HL7SoapBinding" type="tns:HL7">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="acceptMessage">
      <soap:operation soapAction="" style="document"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="HL7Service">
    <wsdl:port name="HL7Port" binding="tns:HL7SoapBinding">
      <soap:address location="{escape(address, {'"': "&quot;"})}"/>
    </wsdl:port>
  </wsdl:service>
</wsdl:definitions>
""".encode()
