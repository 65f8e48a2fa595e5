// An event that nobody has published, with which a webhook is previewed.
import { checkJson, faultText } from "../json-tree/check";
import type { Json } from "../json-tree/model";

/** The fields as they are typed. */
export interface SampleForm {
  type: string;
  subject: string;
  payload: string;
}

/** What the API takes. */
export interface Sample {
  type: string;
  subject?: string;
  payload: Json;
}

export const NEW_SAMPLE: SampleForm = { type: "order_paid", subject: "", payload: '{\n  "order": 7\n}' };

/** The event, or what is wrong with its fields. The node checks what else there is. */
export function sampleOf(form: SampleForm): { sample: Sample } | { faults: Partial<Record<keyof SampleForm, string>> } {
  const [type, subject] = [form.type.trim(), form.subject.trim()];
  const checked = checkJson(form.payload);
  const faults: Partial<Record<keyof SampleForm, string>> = {};
  if (type === "") faults.type = "A type is needed.";
  if (checked.fault !== null) faults.payload = faultText(checked.fault);
  if (checked.fault !== null || type === "") return { faults };
  return { sample: { type, ...(subject === "" ? {} : { subject }), payload: checked.value } };
}
